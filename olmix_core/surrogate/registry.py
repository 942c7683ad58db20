"""The registry of surrogate families.

A family is one module of `olmix_core.surrogate.families` that registers a `Family` in `FAMILIES`. Whatever depends
on the family reads its `Family` here, or a property of the fitted `Surrogate`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.registry import Registry
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import Diagnostics, Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.settings import FitSettings

Fitter = Callable[[SwarmData, FitSettings, Array], Surrogate]
CrossValidator = Callable[[SwarmData, FitSettings, Array, Folds, Array | None], Diagnostics]
Loader = Callable[[JsonMapping], Surrogate]


@dataclass(frozen=True)
class Family:
    """What the project knows of one family of surrogates.

    Attributes:
        name: Value of `surrogate.family` in a configuration, and of `family` in surrogate.json.
        description: One line for listings.
        fit: (swarm, settings, run weights [K]) to a fitted surrogate.
        load: JSON of a fitted surrogate to the surrogate; None where `fit` returns surrogates of other families.
        cross_validate: (swarm, settings, run weights [K], folds, task weights [T]) to held-out predictions; None
            refits on every fold.
        is_convex: Every fitted surrogate is convex in the mixture.
        has_law: Every fitted surrogate has a `fitted_law`, from which the next round of a swarm is selected.
        has_gamma: `FitSettings.gamma` applies.
    """

    name: str
    description: str
    fit: Fitter
    load: Loader | None
    cross_validate: CrossValidator | None = None
    is_convex: bool = False
    has_law: bool = False
    has_gamma: bool = False


FAMILIES: Registry[Family] = Registry("family")


def registered_families() -> tuple[Family, ...]:
    """List the families.

    Returns:
        All registered families: those that have a law, then the others, each in alphabetical order.
    """
    return tuple(sorted(FAMILIES.values(), key=lambda family: (not family.has_law, family.name)))


def find_family(name: str) -> Family:
    """Look a family up.

    Args:
        name: Its name.

    Returns:
        The family.

    Raises:
        FitError: There is no family of that name.
    """
    if name not in FAMILIES:
        expected = ", ".join(family.name for family in registered_families())
        raise FitError(f"family {name!r}; expected one of {expected}")
    return FAMILIES[name]
