"""Diminishing returns under a prior on its coefficients that is learnt from all tasks together (empirical Bayes)."""

from olmix_core.surrogate.families.laws import selection_family
from olmix_core.surrogate.law_fit import fit_under_shared_prior
from olmix_core.surrogate.registry import FAMILIES
from olmix_core.surrogate.settings import SHARED_PRIOR

FAMILIES.register(
    selection_family(
        SHARED_PRIOR,
        "diminishing returns under a prior on its coefficients that all tasks share; best with few runs",
        lambda _: (fit_under_shared_prior,),
        has_gamma=True,
    )
)
