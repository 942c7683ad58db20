"""The surrogate: from the runs of a swarm to a prediction of BPB for any mixture, with its error.

In: `SwarmData` (mixtures and measured bits per byte) and `FitSettings`. Out: a `Surrogate`, whose family is one of the
registered ones (`FAMILIES`), its held-out errors (`cross_validate`), and predictions as `Interval`s. `load`
reads a surrogate back. `test_problems` are swarms with a known truth. Nothing here reads files or needs torch.
"""

from olmix_core.surrogate import families as families  # registers the families
from olmix_core.surrogate import test_problems
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate, fit, load
from olmix_core.surrogate.intervals import Interval
from olmix_core.surrogate.prediction import predict
from olmix_core.surrogate.registry import FAMILIES
from olmix_core.surrogate.settings import FitSettings

__all__ = [
    "FAMILIES",
    "FitSettings",
    "Interval",
    "Surrogate",
    "SwarmData",
    "cross_validate",
    "fit",
    "load",
    "predict",
    "test_problems",
]
