"""What the modules of the regressors share: a `Family` around a function from runs to a predictor."""

from typing import cast

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.cross_validation import Diagnostics, Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.jackknife import JackknifeSurrogate
from olmix_core.surrogate.refits import GROUPS, Regressor
from olmix_core.surrogate.registry import Family
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.surrogate_json import JackknifeJSON


def regressor_family(regressor: Regressor, description: str) -> Family:
    """Describe the family of a regressor.

    Args:
        regressor: The regressor.
        description: One line for listings.

    Returns:
        The family, to be registered.
    """

    def fit(swarm: SwarmData, _settings: FitSettings, run_weights: Array) -> JackknifeSurrogate:
        return JackknifeSurrogate(regressor, swarm, run_weights)

    def cross_validate(
        swarm: SwarmData, _settings: FitSettings, run_weights: Array, folds: Folds, task_weights: Array | None
    ) -> Diagnostics:
        if folds.count != GROUPS:
            raise FitError(f"{folds.count} folds; family {regressor.family!r} is validated with {GROUPS}")
        return JackknifeSurrogate(regressor, swarm, run_weights, folds.seed).diagnostics(task_weights)

    def load(data: JsonMapping) -> JackknifeSurrogate:
        return JackknifeSurrogate.from_json(regressor, cast(JackknifeJSON, data))

    return Family(
        name=regressor.family,
        description=description,
        fit=fit,
        load=load,
        cross_validate=cross_validate,
    )
