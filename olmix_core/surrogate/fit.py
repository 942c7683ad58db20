"""Fitting a surrogate, of whatever family, to a swarm; its held-out errors; reading it back.

    SwarmData + FitSettings --fit-->  Surrogate  (predict, gradient, std, objective, objective_std, to_json)
                            --cross_validate-->  Diagnostics  (out-of-fold errors per task and of the objective)

Values are in bits per byte (BPB).
"""

import numpy as np

from olmix_core.blas_threads import one_blas_thread
from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import Diagnostics, Folds, out_of_fold
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.registry import Family, find_family
from olmix_core.surrogate.settings import FitSettings

_DEFAULTS, _FOLDS = FitSettings(), Folds()


@one_blas_thread()
def fit(swarm: SwarmData, settings: FitSettings = _DEFAULTS, *, run_weights: Array | None = None) -> Surrogate:
    """Fit one function per task that predicts BPB from the mixture.

    Args:
        swarm: The runs.
        settings: Family and settings of the fit.
        run_weights: [K] weights >= 0 of the runs; None means equal.

    Returns:
        The surrogate, its leaves and tasks in the order of `swarm`. It does not depend on the order of the runs.

    Raises:
        FitError: The settings or weights are invalid, or the runs do not suffice for the family.
    """
    family, weights = _check(swarm, settings, run_weights)
    return family.fit(swarm, settings, weights)


def fit_law(swarm: SwarmData, settings: FitSettings = _DEFAULTS, *, run_weights: Array | None = None) -> LawSurrogate:
    """Fit a surrogate of a family that has a law.

    Args:
        swarm: The runs.
        settings: Family and settings of the fit.
        run_weights: [K] weights >= 0 of the runs; None means equal.

    Returns:
        The fitted law.

    Raises:
        FitError: As `fit`, or the family has no law.
    """
    law = fit(swarm, settings, run_weights=run_weights).fitted_law
    if law is None:
        raise FitError(f"family {settings.family!r} has no law; expected one that has")
    return law


@one_blas_thread()
def cross_validate(
    swarm: SwarmData,
    settings: FitSettings = _DEFAULTS,
    *,
    run_weights: Array | None = None,
    task_weights: Array | None = None,
    folds: Folds = _FOLDS,
) -> Diagnostics:
    """Predict every run by a fit that has not seen it.

    For a law, the form (auto, gamma) and the prior are selected once, on all runs; all else is refitted. Predictions
    are for the level of the newest swarm, so of several swarms only its runs count (`SwarmPrior.newest`).

    Args:
        swarm: The runs.
        settings: Family and settings of the fit.
        run_weights: [K] weights >= 0 of the runs; None means equal.
        task_weights: [T] weights of the objective; None means equal.
        folds: The partition of the runs.

    Returns:
        Held-out predictions of the runs that count, and their errors.

    Raises:
        FitError: As `fit`, or there are fewer runs than folds.
    """
    family, weights = _check(swarm, settings, run_weights)
    if family.cross_validate is not None:
        diagnostics = family.cross_validate(swarm, settings, weights, folds, task_weights)
    else:
        diagnostics = out_of_fold(
            swarm, lambda part, of_part: family.fit(part, settings, of_part), folds, weights, task_weights
        )
    return diagnostics if settings.prior is None else diagnostics.some_runs(settings.prior.newest(swarm.runs))


def load(data: JsonMapping) -> Surrogate:
    """Read a surrogate of any family.

    Args:
        data: What `Surrogate.to_json` wrote (surrogate.json).

    Returns:
        The surrogate.

    Raises:
        FitError: `data` is no surrogate of a registered family.
    """
    family = find_family(str(data.get("family")))
    if family.load is None:
        raise FitError(f"found a surrogate of family {family.name!r}; expected the family that it chose")
    return family.load(data)


def load_law(data: JsonMapping) -> LawSurrogate:
    """Read a surrogate that has a law.

    Args:
        data: What `Surrogate.to_json` wrote (surrogate.json).

    Returns:
        The fitted law.

    Raises:
        FitError: `data` is no surrogate of a registered family, or its family has no law.
    """
    law = load(data).fitted_law
    if law is None:
        raise FitError(f"family {data['family']!r} has no law; expected one that has")
    return law


def _check(swarm: SwarmData, settings: FitSettings, run_weights: Array | None) -> tuple[Family, Array]:
    """The family, and the run weights [K] scaled to a mean of 1 over runs that count."""
    family = find_family(settings.family)
    if settings.gamma is not None and not family.has_gamma:
        raise FitError(f"gamma belongs to diminishing_returns; {family.name} has none")
    if run_weights is None:
        return family, np.ones(len(swarm.runs))
    weights = np.asarray(run_weights, dtype=np.float64)
    usable = weights.shape == (len(swarm.runs),)
    if not usable or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise FitError(f"run weights must be {len(swarm.runs)} numbers >= 0, one per run, not all 0")
    scaled: Array = weights * (np.count_nonzero(weights) / weights.sum())
    return family, scaled
