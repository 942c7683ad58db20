"""The form of a run in the Prefect UI: the sections of the configuration, with every field optional.

A field left empty keeps the value of the configuration file; one that is filled in replaces it for that run. The
models are derived from those of the configuration, so that the form has their types, limits and descriptions.
"""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Union, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from olmix_core.config.base import Section
from olmix_core.config.execution import Execution
from olmix_core.config.proposal import ProposalSettings
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.reuse import Reuse
from olmix_core.config.surrogate import SurrogateSettings
from olmix_core.config.swarm import Swarm
from olmix_core.surrogate.registry import registered_families

EMPTY: Any = Annotated[None, SkipJsonSchema()]  # type: ignore[type-arg]  # None, left out of the form's schema


class Changes(BaseModel):
    """The filled-in fields of a section. Empty ones are None, and left out of dumps."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _dump_filled_in(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


def _optional(name: str, field: FieldInfo, choices: Sequence[str]) -> Any:
    """Annotation and field of the form for a field of the configuration."""

    def extra(schema: dict[str, JsonValue]) -> None:
        schema.pop("default", None)  # an empty field is absent, not null
        if choices:
            schema["enum"] = list(choices)

    kinds: Any = field.annotation
    if NoneType in get_args(kinds):  # None is expressed by an empty field
        kinds = Union[tuple(kind for kind in get_args(kinds) if kind is not NoneType)]  # noqa: UP007 - built at run time
    annotation = Annotated[(kinds, *field.metadata)] if field.metadata else kinds
    default = field.get_default(call_default_factory=True)
    description = field.description if default in (None, [], {}) else f"{field.description} By default {default}."
    if kinds is bool:  # the UI's switch has no third position: without null it would turn the field off
        return bool | None, Field(None, title=name, description=description)
    return annotation | EMPTY, Field(None, title=name, description=description, json_schema_extra=extra)


def changes_of(section: type[Section], choices: Mapping[str, Sequence[str]] | None = None) -> type[Changes]:
    """Derive the model of the form from a section of the configuration.

    Args:
        section: The section.
        choices: {field: values to choose from} of fields whose values are names in a registry.

    Returns:
        A model with the same fields, all of them optional.
    """
    offered = choices or {}
    fields: dict[str, Any] = {
        name: _optional(name, field, offered.get(name, ())) for name, field in section.model_fields.items()
    }
    return create_model(f"{section.__name__}Changes", __base__=Changes, __doc__=section.__doc__, **fields)


ProxyChanges = changes_of(ProxyRecipe)
SwarmChanges = changes_of(Swarm)
SurrogateChanges = changes_of(SurrogateSettings, {"family": [family.name for family in registered_families()]})
ProposalChanges = changes_of(ProposalSettings)
ReuseChanges = changes_of(Reuse)
ExecutionChanges = changes_of(Execution)


def filled_in(sections: Mapping[str, Changes]) -> dict[str, dict[str, JsonValue]]:
    """Collect the changes of a form.

    Args:
        sections: {section: its part of the form}.

    Returns:
        {section: {field: value}} of the fields that are not empty; sections without any are left out.
    """
    changes = {name: section.model_dump(mode="json") for name, section in sections.items()}
    return {name: values for name, values in changes.items() if values}
