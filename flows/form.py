"""The form of a run in the Prefect UI: the sections of the configuration, with every field optional.

A field that is left empty is as in the configuration file; one that is filled in replaces it for that run. The models
are made of those of the configuration, so that the form has their types, limits and descriptions.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, create_model, model_serializer
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from olmix_core.config.base import Section
from olmix_core.config.execution import Execution
from olmix_core.config.proposal import ProposalSettings
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.reuse import Reuse
from olmix_core.config.surrogate import SurrogateSettings
from olmix_core.config.swarm import Swarm

EMPTY: Any = Annotated[None, SkipJsonSchema()]  # type: ignore[type-arg]  # None, of which the form is silent


class Changes(BaseModel):
    """What is filled in of a section; what is left empty is None, and no part of the dump."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _filled_in(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


def _no_default(schema: dict[str, Any]) -> None:
    """An empty field of the form is one that is left out, not one that is null."""
    schema.pop("default", None)


def _optional(name: str, field: FieldInfo) -> Any:
    kinds: Any = field.annotation
    if NoneType in get_args(kinds):  # said by leaving the field empty
        kinds = Union[tuple(kind for kind in get_args(kinds) if kind is not NoneType)]  # noqa: UP007 - made at run time
    annotation = Annotated[(kinds, *field.metadata)] if field.metadata else kinds
    default = field.get_default(call_default_factory=True)
    said = field.description if default in (None, [], {}) else f"{field.description} By default {default}."
    if kinds is bool:  # the UI's switch has no third position, and would turn off what it is not told
        return bool | None, Field(None, title=name, description=said)
    return annotation | EMPTY, Field(None, title=name, description=said, json_schema_extra=_no_default)


def changes_of(section: type[Section]) -> type[Changes]:
    """The model of what may be changed in `section`: the same fields, all of them optional."""
    fields: dict[str, Any] = {name: _optional(name, field) for name, field in section.model_fields.items()}
    return create_model(f"{section.__name__}Changes", __base__=Changes, __doc__=section.__doc__, **fields)


ProxyChanges = changes_of(ProxyRecipe)
SwarmChanges = changes_of(Swarm)
SurrogateChanges = changes_of(SurrogateSettings)
ProposalChanges = changes_of(ProposalSettings)
ReuseChanges = changes_of(Reuse)
ExecutionChanges = changes_of(Execution)


def filled_in(sections: Mapping[str, Changes]) -> dict[str, dict[str, Any]]:
    """{section: {field: value}} of what is not left empty."""
    found = {name: section.model_dump(mode="json") for name, section in sections.items()}
    return {name: values for name, values in found.items() if values}
