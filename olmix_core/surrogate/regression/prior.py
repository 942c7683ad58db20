"""The prior of a fit: how the swarms that its runs are of, and its leaves, are related.

Runs of different swarms enter one regression, y = c + exp(b + phi(q) . v + d_s), under one Gaussian prior on its
coefficients:

- swarm s may lie at another level d_s than the swarm that predictions are for, and its runs have a weight;
- leaves of one source are similar: v_j = u_source + w_j with var u = `source_correlation` var w;
- a revised leaf resembles its predecessor: v_new = u + w_new and v_old = u + w_old with
  var u = `revision_correlation` var w.

Every leaf has the same variance, whether it has kin or not: a leaf without kin is its own source. So the prior
covariance of v is a correlation matrix, and its inverse is the P of `levenberg_marquardt`. A source that all leaves are
of says nothing of which of them are similar, and is left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array

FEWEST_NEWEST = 8  # runs of the newest swarm that can tell settings apart


class PriorJSON(TypedDict):
    """JSON of a `SwarmPrior`: likeness, heritage and drift are its correlations and its level precision."""

    swarms: dict[str, str]
    current: str
    sources: list[list[str]]
    revised: dict[str, str]
    likeness: NotRequired[float]
    heritage: NotRequired[float]
    drift: NotRequired[float | None]
    weights: NotRequired[dict[str, float]]


@dataclass(frozen=True)
class SwarmPrior:
    """How the runs of several swarms and the leaves are related.

    Attributes:
        swarms: {run: label of its swarm} of every run.
        current: The swarm whose level predictions are for.
        sources: Groups of similar leaves; a leaf in none is unrelated to others.
        revised: {leaf: its predecessor}.
        source_correlation: Variance >= 0 that leaves of a source share, as a multiple of what each has by itself.
        revision_correlation: The same for a leaf and its predecessor.
        level_precision: Precision > 0 of d_s as a multiple of that of v; None puts all swarms at one level.
        weights: {swarm: weight of each of its runs}, 1 where it is not given.
    """

    swarms: Mapping[str, str]
    current: str
    sources: Sequence[Collection[str]] = ()
    revised: Mapping[str, str] = field(default_factory=dict)
    source_correlation: float = 3.0
    revision_correlation: float = 9.0
    level_precision: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def check(self, runs: Sequence[str]) -> None:
        """Check that every run has a swarm.

        Args:
            runs: Ids.

        Raises:
            FitError: A run has none.
        """
        stray = [run for run in runs if run not in self.swarms]
        if stray:
            raise FitError(f"run {stray[0]!r} is of no swarm of the pool ({len(stray)} of {len(runs)} runs)")

    def others(self, runs: Sequence[str]) -> tuple[str, ...]:
        """List the swarms of some runs.

        Args:
            runs: Ids.

        Returns:
            Their swarms except the current one, in alphabetical order.
        """
        return tuple(sorted({self.swarms[run] for run in runs} - {self.current}))

    def newest(self, runs: Sequence[str]) -> NDArray[np.bool_]:
        """Find the runs that predictions are for, on which errors are measured.

        Args:
            runs: [K] ids.

        Returns:
            [K] True for the runs of the current swarm; for all runs if these are too few to tell.
        """
        is_current = np.array([self.swarms[run] == self.current for run in runs])
        return is_current if is_current.sum() >= FEWEST_NEWEST else np.ones(len(runs), dtype=bool)

    def levels(self, runs: Sequence[str]) -> Array:
        """Indicate the other swarms of runs.

        Args:
            runs: [K] ids.

        Returns:
            [K, S] 1 where a run belongs to an other swarm; S = 0 where all lie at one level.
        """
        labels = np.array([self.swarms[run] for run in runs])
        swarms = self.others(runs) if self.level_precision is not None else ()
        if not swarms:
            return np.empty((len(runs), 0))
        return np.stack([labels == swarm for swarm in swarms], axis=1).astype(float)

    def precision(self, leaves: Sequence[str], levels: int) -> Array:
        """Compute the precision matrix P of the coefficients, in units of that of one coefficient.

        Args:
            leaves: [m] names.
            levels: S, the number of levels.

        Returns:
            [m + S, m + S].
        """
        column = {leaf: j for j, leaf in enumerate(leaves)}
        covariance = np.eye(len(leaves))
        blocks = [(source, self.source_correlation) for source in self.sources]
        blocks = [(source, shared) for source, shared in blocks if not column.keys() <= set(source)]
        blocks += [((leaf, old), self.revision_correlation) for leaf, old in self.revised.items()]
        for related, shared in blocks:
            members = [column[leaf] for leaf in related if leaf in column]
            if len(members) > 1:
                covariance[np.ix_(members, members)] += shared
        scale = np.sqrt(np.diagonal(covariance))
        covariance /= np.outer(scale, scale)
        precision = np.eye(len(leaves) + levels) * (self.level_precision or 1.0)
        precision[: len(leaves), : len(leaves)] = np.linalg.inv(covariance)
        return precision

    def run_weights(self, runs: Sequence[str]) -> Array:
        """Look up the weight of runs.

        Args:
            runs: [K] ids.

        Returns:
            [K] weights.
        """
        return np.array([self.weights.get(self.swarms[run], 1.0) for run in runs])

    def to_json(self) -> PriorJSON:
        """Write the prior as JSON.

        Returns:
            Plain JSON values, from which `from_json` makes an equal prior.
        """
        return {
            "swarms": dict(self.swarms),
            "current": self.current,
            "sources": [list(source) for source in self.sources],
            "revised": dict(self.revised),
            "likeness": self.source_correlation,
            "heritage": self.revision_correlation,
            "drift": self.level_precision,
            "weights": dict(self.weights),
        }

    @classmethod
    def from_json(cls, data: PriorJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: The JSON.

        Returns:
            The prior.
        """
        return cls(
            swarms=data["swarms"],
            current=data["current"],
            sources=tuple(tuple(source) for source in data["sources"]),
            revised=data["revised"],
            source_correlation=data.get("likeness", cls.source_correlation),
            revision_correlation=data.get("heritage", cls.revision_correlation),
            level_precision=data.get("drift"),
            weights=data.get("weights", {}),
        )


class PooledJSON(TypedDict):
    """A `Pooled`."""

    levels: list[list[float]]
    offsets: list[list[float]]
    precision: list[list[float]]
    scale: NotRequired[list[float]]


@dataclass(frozen=True)
class Pooled:
    """What a fit under a prior adds (see `prior` and `shared_prior`).

    Attributes:
        levels: [K, S] 1 where a run belongs to an other swarm.
        offsets: [T, S] levels of the other swarms.
        precision: [m + S, m + S] the P of the prior.
        scale: [T] standard deviation of the coefficients in units of the prior, where it was learnt and c was given;
            None estimates it from the coefficients.
    """

    levels: Array
    offsets: Array
    precision: Array
    scale: Array | None = None

    def to_json(self) -> PooledJSON:
        """Write it as JSON.

        Returns:
            Plain JSON values.
        """
        data: PooledJSON = {
            "levels": self.levels.tolist(),
            "offsets": self.offsets.tolist(),
            "precision": self.precision.tolist(),
        }
        if self.scale is not None:
            data["scale"] = self.scale.tolist()
        return data

    @classmethod
    def from_json(cls, data: PooledJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: The JSON.

        Returns:
            What a fit of several swarms adds.
        """
        levels, offsets, precision = (
            np.asarray(data[name], dtype=np.float64) for name in ("levels", "offsets", "precision")
        )
        scale = np.asarray(data["scale"], dtype=np.float64) if "scale" in data else None
        return cls(levels, offsets, precision, scale)
