"""The law with the least error on runs left out of the fit."""

from olmix_core.surrogate.families import diminishing_returns, log_linear
from olmix_core.surrogate.families.laws import law_fitter, selection_family
from olmix_core.surrogate.registry import register_family
from olmix_core.surrogate.settings import AUTO

register_family(
    selection_family(
        AUTO,
        "the one of the two laws with the smaller error on runs left out of the fit",
        (law_fitter(diminishing_returns.select_law), law_fitter(log_linear.select_law)),
        has_gamma=True,
    )
)
