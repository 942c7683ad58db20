"""The form of a run: the fields of the configuration, all of them optional, and what is filled in holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from flows.form import (
    ExecutionChanges,
    ProposalChanges,
    ProxyChanges,
    SurrogateChanges,
    SwarmChanges,
    changes_of,
    filled_in,
)
from flows.update import update
from olmix_core.config.base import Section
from olmix_core.config.config import Config
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError
from olmix_core.surrogate.registry import registered_families

SECTIONS = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section) and name != "evaluation"
}


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_the_form_has_every_field_with_its_type_and_description(name: str) -> None:
    section = SECTIONS[name]
    form, of_file = changes_of(section).model_json_schema(), section.model_json_schema()
    assert list(form["properties"]) == list(of_file["properties"])
    assert "required" not in form
    for field, shown in form["properties"].items():
        described = of_file["properties"][field]
        assert shown["title"] == field
        assert shown["description"].startswith(described["description"])
        if described.get("type") == "boolean":
            # A switch is on or off: none has to be a choice of its own.
            assert (shown["default"], shown["anyOf"]) == (None, [{"type": "boolean"}, {"type": "null"}])
            continue
        assert "default" not in shown
        # An input of the UI, not a choice between a value and none.
        assert {"type": "null"} not in shown.get("anyOf", [])
        if "type" in described:
            assert shown["type"] == described["type"]
            limits = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum"}
            assert {k: v for k, v in shown.items() if k in limits} == {
                k: v for k, v in described.items() if k in limits
            }


def test_the_form_offers_every_family_of_surrogates() -> None:
    family = SurrogateChanges.model_json_schema()["properties"]["family"]
    assert family["enum"] == [registered.name for registered in registered_families()]


def test_the_flow_has_a_form_for_every_section() -> None:
    parameters: Any = parameter_schema(update).properties
    assert SECTIONS.keys() <= parameters.keys()
    assert all(parameters[name]["default"] == {} for name in SECTIONS)
    assert all("description" in parameter for parameter in parameters.values())


def test_what_is_left_empty_is_as_in_the_file(project: Callable[..., Path]) -> None:
    path = project(proposal={"kl": 0.2, "repetition": 2.0})
    sections = {
        "proposal": ProposalChanges.model_validate({"kl": 0.1, "bounds": {"code": (0, 0.5)}}),
        "swarm": SwarmChanges(),
    }
    changes = filled_in(
        {**sections, "proxy": ProxyChanges.model_validate({"seed": 3}), "execution": ExecutionChanges()}
    )
    assert changes == {"proposal": {"kl": 0.1, "bounds": {"code": [0.0, 0.5]}}, "proxy": {"seed": 3}}
    config = load_config(path, {**changes, "name": "other"})
    assert config.name == "other"
    assert (config.proposal.kl, config.proposal.repetition) == (0.1, 2.0)
    assert config.proposal.bounds == {"code": (0.0, 0.5)}
    assert (config.proxy.seed, config.proxy.width) == (3, 16)
    assert config.swarm == load_config(path).swarm
    # A section that the file does not have.
    assert load_config(project(swarm=None), {"swarm": {"runs": 9}}).swarm.runs == 9


def test_values_that_cannot_be_are_refused(project: Callable[..., Path]) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        ProposalChanges.model_validate({"kl": -1})
    with pytest.raises(ValidationError, match="Extra inputs"):
        ProposalChanges.model_validate({"klm": 1})
    # Each for itself is right; together with the file they are not.
    with pytest.raises(ConfigError, match=r"min_strength 1\.0 above max_strength 0\.5"):
        load_config(project(), {"swarm": {"max_strength": 0.5}})
    with pytest.raises(ConfigError, match="swarm: found 'many'; expected a mapping of fields"):
        load_config(project(swarm="many"), {"swarm": {"runs": 9}})
