"""The law with the least error on runs left out of the fit."""

from collections.abc import Sequence

from olmix_core.surrogate.families import diminishing_returns, log_linear
from olmix_core.surrogate.families.laws import law_fitter, selection_family
from olmix_core.surrogate.law_fit import LawFitter, fit_under_shared_prior
from olmix_core.surrogate.registry import FAMILIES
from olmix_core.surrogate.settings import AUTO, FitSettings

_RIDGE_FITTERS = (law_fitter(diminishing_returns.select_law), law_fitter(log_linear.select_law))


def _fitters(settings: FitSettings) -> Sequence[LawFitter]:
    """The laws to compare; a ridge that is given takes the place of a prior that is learnt."""
    return _RIDGE_FITTERS if settings.fixed_ridge is not None else (*_RIDGE_FITTERS, fit_under_shared_prior)


FAMILIES.register(
    selection_family(
        AUTO,
        "of the two laws and the shared prior, that with the smallest error on runs left out of the fit",
        _fitters,
        has_gamma=True,
    )
)
