"""What would show that a gain is real: more runs for the law, or copies of the two proxies compared.

The variance of a predicted gain has two parts (`intervals`): the error of the law, which falls roughly as 1 / K with
the number of runs K, and the scatter n of a pair of proxies, which no further run of other mixtures lessens. A gain g
is found to be real in four of five cases if it exceeds

- with more runs: 1.645 sqrt(s^2 + n^2) + 0.842 s, where s is the error of the law with these runs;
- with both mixtures trained N times each and compared directly: (1.645 + 0.842) n / sqrt(N).

n contains misfit of the law, which copies of a proxy do not have, so that N is an upper limit.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import NORMAL_90, UNDECIDED, interval

POWER_80 = 0.8416212335729143  # 80 % quantile of the normal distribution, in standard deviations
_MOST = 1000  # proxies; more are not advised


@dataclass(frozen=True)
class Remedy:
    """How many more proxies would show a gain in four of five cases, if it is as large as predicted.

    Attributes:
        runs: More runs of mixtures like those of the swarm; None where a thousand would not do.
        copies: Proxies of each of the two mixtures; None where that takes more than a thousand proxies.
    """

    runs: int | None
    copies: int | None


def remedy(surrogate: Surrogate, q: Array, reference: Array, task_weights: Array | None, runs: int) -> Remedy | None:
    """Find what would show a gain.

    Args:
        surrogate: The fit.
        q: [m] the mixture.
        reference: [m] the mixture that it is compared with.
        task_weights: [T] weights of the objective; None means equal.
        runs: K, the runs of the fit.

    Returns:
        What would show it; None where it is not within the noise, or is no gain.
    """
    gain = interval(surrogate, q, task_weights, reference)
    if gain.verdict != UNDECIDED or not gain.bpb > 0:
        return None
    law = surrogate.objective_std(q, task_weights, reference)
    pair = math.hypot(*surrogate.objective_noises(np.array([q, reference]), task_weights))
    copies = ((NORMAL_90 + POWER_80) * pair / gain.bpb) ** 2
    return Remedy(_more_runs(gain.bpb, law, pair, runs), max(2, math.ceil(copies)) if 2 * copies <= _MOST else None)


def _more_runs(gain: float, law: float, pair: float, runs: int) -> int | None:
    def missing(error: float) -> float:
        return NORMAL_90 * math.hypot(error, pair) + POWER_80 * error - gain

    if not (missing(0.0) < 0 < law < math.inf):
        return None
    error = brentq(missing, 0.0, law) if missing(law) > 0 else law
    more = runs * ((law / error) ** 2 - 1) if error > 0 else math.inf
    return max(1, math.ceil(more)) if more <= _MOST else None
