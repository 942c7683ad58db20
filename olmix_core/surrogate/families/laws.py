"""What the modules of the laws share: a `Family` around the form of a law."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Diagnostics, Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_fit import LawFitter, LawSelector, cross_validate_law, fit_best_law, fit_law_form
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.registry import Family
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.surrogate_json import LawJSON


def law_family(name: str, description: str, select_law: LawSelector, *, has_gamma: bool) -> Family:
    """Describe the family of one law.

    Args:
        name: Name of the family.
        description: One line for listings.
        select_law: Gives the form of the law for a swarm.
        has_gamma: `FitSettings.gamma` applies.

    Returns:
        The family, to be registered.
    """
    family = selection_family(name, description, lambda _: (law_fitter(select_law),), has_gamma=has_gamma)
    return replace(family, load=lambda data: LawSurrogate.from_json(cast(LawJSON, data)))


def law_fitter(select_law: LawSelector) -> LawFitter:
    """Make the fitter of one form of law, whose ridge is selected for each task.

    Args:
        select_law: Gives the form of the law for a swarm.

    Returns:
        The fitter.
    """
    return lambda swarm, settings, run_weights: fit_law_form(swarm, settings, run_weights, select_law)


def selection_family(
    name: str, description: str, fitters: Callable[[FitSettings], Sequence[LawFitter]], *, has_gamma: bool
) -> Family:
    """Describe the family that selects among laws by held-out error.

    Args:
        name: Name of the family.
        description: One line for listings.
        fitters: Settings to the fitters of the laws that are compared.
        has_gamma: `FitSettings.gamma` applies.

    Returns:
        The family, to be registered; it is not loaded, since the surrogate is of the selected family.
    """

    def fit(swarm: SwarmData, settings: FitSettings, run_weights: Array) -> LawSurrogate:
        if settings.prior is not None:
            settings.prior.check(swarm.runs)
        compared = fitters(settings)
        if len(compared) == 1:
            return compared[0](swarm, settings, run_weights)
        return fit_best_law(swarm, settings, run_weights, compared)

    def cross_validate(
        swarm: SwarmData, settings: FitSettings, run_weights: Array, folds: Folds, task_weights: Array | None
    ) -> Diagnostics:
        surrogate = fit(swarm, settings, run_weights)
        return cross_validate_law(swarm, settings, run_weights, folds, surrogate, task_weights)

    return Family(
        name=name,
        description=description,
        fit=fit,
        load=None,
        cross_validate=cross_validate,
        is_convex=True,
        has_law=True,
        has_gamma=has_gamma,
    )
