"""How a surrogate is fitted."""

from dataclasses import dataclass
from typing import Literal

from olmix_core.errors import FitError
from olmix_core.surrogate.regression.prior import SwarmPrior

AUTO = "auto"
SHARED_PRIOR = "shared_prior"


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit, the same for every task.

    The regressors that the laws are compared with use the family only; they take all runs as one swarm.

    Attributes:
        family: Name of a registered family (`olmix_core.surrogate.registry`).
        huber_delta: BPB beyond which the Huber loss is linear (arXiv 2602.12237: 0.02).
        ridge: Half the penalty on squared coefficients, in units of the mean Huber loss; "auto" selects it for each
            task by leave-one-out error.
        gamma: Power of diminishing returns; None selects it by leave-one-out error.
        prior: How runs of several swarms are related; None takes all runs as one swarm.
        guarded: A ridge is selected only if it keeps its law within bounds (`regression.bounds`); None: if there are
            fewer runs than parameters.

    Raises:
        FitError: A number is out of range.
    """

    family: str = AUTO
    huber_delta: float = 0.02
    ridge: float | Literal["auto"] = "auto"
    gamma: float | None = None
    prior: SwarmPrior | None = None
    guarded: bool | None = None

    def __post_init__(self) -> None:
        if not self.huber_delta > 0:
            raise FitError(f"huber_delta {self.huber_delta}; expected a number > 0 in BPB")
        if self.ridge != AUTO and not float(self.ridge) >= 0:
            raise FitError(f"ridge {self.ridge}; expected 'auto' or a number >= 0")
        if self.gamma is not None and not 0 < self.gamma <= 1:
            raise FitError(f"gamma {self.gamma}; expected a number in (0, 1], or none to have it chosen")

    @property
    def fixed_ridge(self) -> float | None:
        """The ridge of every task; None where it is selected for each task."""
        return None if self.ridge == AUTO else float(self.ridge)
