"""What is known of several swarms before their runs are fitted together.

Runs of different swarms stand in one regression, y = c + exp(b + phi(q) . v + d_s), under one Gaussian prior on all of
its coefficients:

- swarm s may lie at another level than the one that predictions are for, d_s (drift between batches; none where
  `drift` is None), and counts with a weight of its own;
- leaves of one source are alike: v_j = u_source + w_j with var u = `likeness` var w;
- a revised leaf takes after its predecessor: v_new = u + w_new and v_old = u + w_old with var u = `heritage` var w.

So the prior covariance of v is I plus a constant on every block of kin, and its inverse is the P of `levenberg`. An
infinite likeness would make kin equal; 0 makes every leaf a stranger.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array


@dataclass(frozen=True)
class SwarmPrior:
    """Which swarm each run is of, which leaves are kin, and how much to make of either.

    swarms: {run: label of its swarm}, every run. current: the swarm whose level predictions are for. sources: leaves
    that are alike; leaves in none are strangers. revised: {leaf: its predecessor}. likeness and heritage >= 0: variance
    that kin share, as a multiple of what they do not. drift > 0: precision of d_s as a multiple of that of v; None
    means that all swarms lie at one level. weights: {label: weight of each of its runs}, 1 where not given.
    """

    swarms: Mapping[str, str]
    current: str
    sources: Sequence[Collection[str]] = ()
    revised: Mapping[str, str] = field(default_factory=dict)
    likeness: float = 3.0
    heritage: float = 9.0
    drift: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def check(self, runs: Sequence[str]) -> None:
        """Raise FitError where a run is of no swarm."""
        stray = [run for run in runs if run not in self.swarms]
        if stray:
            raise FitError(f"run {stray[0]!r} is of no swarm of the pool ({len(stray)} of {len(runs)} runs)")

    def others(self, runs: Sequence[str]) -> tuple[str, ...]:
        """The swarms of `runs` but the current one."""
        return tuple(sorted({self.swarms[run] for run in runs} - {self.current}))

    def levels(self, runs: Sequence[str]) -> Array:
        """[K, S] which runs are of which other swarm; no columns without drift."""
        labels = np.array([self.swarms[run] for run in runs])
        columns = self.others(runs) if self.drift is not None else ()
        return (
            np.stack([labels == one for one in columns], axis=1).astype(float) if columns else np.empty((len(runs), 0))
        )

    def precision(self, leaves: Sequence[str], levels: int) -> Array:
        """P [m + S, m + S] of the coefficients of `leaves` and of S `levels`."""
        column = {leaf: j for j, leaf in enumerate(leaves)}
        covariance = np.eye(len(leaves))
        blocks = [(source, self.likeness) for source in self.sources]
        blocks += [((leaf, old), self.heritage) for leaf, old in self.revised.items()]
        for kin, shared in blocks:
            members = [column[leaf] for leaf in kin if leaf in column]
            if len(members) > 1:
                covariance[np.ix_(members, members)] += shared
        precision = np.eye(len(leaves) + levels) * (self.drift or 1.0)
        precision[: len(leaves), : len(leaves)] = np.linalg.inv(covariance)
        return precision

    def run_weights(self, runs: Sequence[str]) -> Array:
        """[K] the weight of each run."""
        return np.array([self.weights.get(self.swarms[run], 1.0) for run in runs])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values that `from_json` turns into an equal pool."""
        return {
            "swarms": dict(self.swarms),
            "current": self.current,
            "sources": [list(source) for source in self.sources],
            "revised": dict(self.revised),
            "likeness": self.likeness,
            "heritage": self.heritage,
            "drift": self.drift,
            "weights": dict(self.weights),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The pool that `to_json` wrote."""
        return cls(**{**data, "sources": tuple(tuple(source) for source in data["sources"])})
