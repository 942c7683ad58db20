"""Diminishing returns, f = c + exp(b - a . q^gamma) with a >= 0."""

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.families.laws import law_family
from olmix_core.surrogate.registry import FAMILIES
from olmix_core.surrogate.regression.estimation import select_gamma
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law
from olmix_core.surrogate.settings import FitSettings


def select_law(swarm: SwarmData, settings: FitSettings, run_weights: Array) -> Law:
    """Select the power gamma where the settings leave it open.

    Args:
        swarm: The runs, in canonical order.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.

    Returns:
        The law with its gamma.
    """
    gamma = select_gamma(swarm, settings, run_weights) if settings.gamma is None else settings.gamma
    return Law(DIMINISHING_RETURNS, gamma)


FAMILIES.register(law_family(DIMINISHING_RETURNS, "c + exp(b - a q^gamma), a >= 0", select_law, has_gamma=True))
