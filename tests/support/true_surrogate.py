"""A surrogate whose law is the truth."""

import numpy as np

from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.regression.uncertainty import SandwichCovariance


def surrogate_of(law: Law, parameters: Parameters) -> LawSurrogate:
    """A surrogate with the parameters of a law, without errors."""
    tasks, leaves = parameters.v.shape
    nothing = SandwichCovariance(
        law, parameters, np.full((1, leaves), 1 / leaves), np.ones((1, tasks)), np.zeros((1, tasks))
    )
    return LawSurrogate(
        law=law,
        leaves=tuple(f"leaf{j:03d}" for j in range(leaves)),
        tasks=tuple(f"task{t:02d}" for t in range(tasks)),
        parameters=parameters,
        ridge=np.zeros(tasks),
        loss=np.zeros(tasks),
        huber_delta=0.02,
        score=0.0,
        covariance=nothing,
    )
