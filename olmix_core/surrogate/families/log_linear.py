"""The log-linear law of Olmix, f = c + exp(A . q) (Chen et al. 2026, arXiv 2602.12237)."""

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.families.laws import law_family
from olmix_core.surrogate.registry import FAMILIES
from olmix_core.surrogate.regression.laws import LOG_LINEAR, Law
from olmix_core.surrogate.settings import FitSettings


def select_law(_swarm: SwarmData, _settings: FitSettings, _run_weights: Array) -> Law:
    """Give the form of the law, which has no hyper-parameter.

    Args:
        _swarm: Not used.
        _settings: Not used.
        _run_weights: Not used.

    Returns:
        The log-linear law.
    """
    return Law(LOG_LINEAR)


FAMILIES.register(law_family(LOG_LINEAR, "c + exp(A q), the paper's", select_law, has_gamma=False))
