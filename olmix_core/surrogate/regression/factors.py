"""The factors of a law's covariance, from which its errors are computed outside Python (report/whatif.js)."""

from dataclasses import dataclass

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.local_noise import LocalNoise


@dataclass(frozen=True)
class CovarianceFactors:
    """Factors of the covariance, to recompute `prediction_deviations` outside Python (report/whatif.js).

    Attributes:
        inverse: [T, m + S + 2, m + S + 2] B^-1.
        mixtures: [K, m] mixtures of the runs.
        levels: [K, S] 1 where a run belongs to an other swarm.
        offsets: [T, S] levels of the other swarms.
        pulls: [K, T] w e, the pull of a run on the parameters.
        prior: [m + S, m + S] the root of P.
        prior_part: [T] tau pi.
        local_noise: How the noise of a run depends on its mixture; None where it does not.
    """

    inverse: Array
    mixtures: Array
    levels: Array
    offsets: Array
    pulls: Array
    prior: Array
    prior_part: Array
    local_noise: LocalNoise | None
