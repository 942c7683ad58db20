"""The registry of families: each is documented, loads what it fits, and is as it says."""

import json
import re
from pathlib import Path

import pytest

from olmix_core.errors import FitError
from olmix_core.surrogate.fit import fit, load
from olmix_core.surrogate.registry import FAMILIES, Family, find_family, registered_families
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns

PAGE = Path(__file__).parents[3] / "docs" / "surrogate.md"


def test_every_family_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)`", PAGE.read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(family.name for family in registered_families())


@pytest.mark.parametrize("family", registered_families(), ids=lambda family: family.name)
def test_a_fit_is_as_its_family_says(family: Family) -> None:
    problem = diminishing_returns(4, 2).with_noise(0.01)
    surrogate = fit(problem.evidence(20, seed=0), FitSettings(family=family.name))
    assert surrogate.is_convex == family.is_convex
    assert (surrogate.fitted_law is not None) == family.has_law
    assert surrogate.family == family.name or family.load is None
    read = load(json.loads(json.dumps(surrogate.to_json())))
    assert read.family == surrogate.family
    assert read.predict(problem.optimum[None]).tolist() == surrogate.predict(problem.optimum[None]).tolist()


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'search' is registered already"):
        FAMILIES.register(find_family("search"))


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        FitError, match=r"'cubic'; expected one of auto, diminishing_returns, log_linear, shared_prior, autoscale"
    ):
        load({"family": "cubic"})
