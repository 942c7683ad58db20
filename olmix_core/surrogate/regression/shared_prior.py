"""The prior on the coefficients of diminishing returns that all tasks share, learnt from the runs.

In logs the law f = c + exp(b - a . q^gamma) is linear, log(y - c) = b - a . q^gamma, once c is given. The coefficients
of task t have covariance sigma_t^2 r_t L (see `marginal_likelihood`), and L is a sum of

- a variance of each leaf: leaves that matter for one task matter for others;
- a covariance of all leaves of a source, where a leaf without kin is its own source;
- a covariance of all leaves, the level of usefulness that they have in common;
- a covariance of a revised leaf and its predecessor;
- the variance of the levels of other swarms.

c is a share of the least BPB of the task. The share of each task, and gamma of all together, are those of the greatest
marginal likelihood of the measured BPB (with the Jacobian of the logs).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law
from olmix_core.surrogate.regression.marginal_likelihood import (
    Components,
    Moments,
    learn_covariance,
    task_scales,
)
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.ridge_path import filled, unfittable_tasks

SHARED_GAMMAS = (0.4, 0.5, 0.6, 0.75)
_SHARES = (0.8, 0.9, 0.95)  # c as a share of the least BPB
_USUAL_SHARE = 0.8
_LEAF_SPREAD = 0.3  # standard deviation of the log variance of a leaf
_SPREAD = 2.0  # the same of the variances that leaves share
_CENTRES = {"source": -1.0, "common": -1.0, "revision": 1.0, "level": -3.0}  # means of their logs


class SharedPriorJSON(TypedDict):
    """A `SharedPrior`."""

    gamma: float
    leaves: dict[str, float]
    shared: dict[str, float]
    shares: dict[str, float]


@dataclass(frozen=True)
class SharedPrior:
    """What was learnt.

    Attributes:
        gamma: Power of diminishing returns.
        leaves: {leaf: variance of its own}.
        shared: {source, common, revision, level: variance}; those that apply.
        shares: {task: c as a share of its least BPB}.
    """

    gamma: float
    leaves: Mapping[str, float]
    shared: Mapping[str, float]
    shares: Mapping[str, float]

    def to_json(self) -> SharedPriorJSON:
        """Write the prior as JSON.

        Returns:
            Plain JSON values.
        """
        return {
            "gamma": self.gamma,
            "leaves": dict(self.leaves),
            "shared": dict(self.shared),
            "shares": dict(self.shares),
        }

    @classmethod
    def from_json(cls, data: SharedPriorJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: The JSON.

        Returns:
            The prior.
        """
        return cls(data["gamma"], data["leaves"], data["shared"], data["shares"])

    @property
    def law(self) -> Law:
        """The form of the law."""
        return Law(DIMINISHING_RETURNS, self.gamma)

    def covariance(self, leaves: Sequence[str], levels: int, prior: SwarmPrior | None) -> Array:
        """Compute L for the coefficients of leaves and levels.

        Args:
            leaves: [m] names.
            levels: S, the number of other swarms.
            prior: How leaves are related; None where they are not.

        Returns:
            [m + S, m + S].
        """
        covariance = np.diag([*(self.leaves[leaf] for leaf in leaves), *([0.0] * levels)])
        for name, matrix in _relations(leaves, levels, prior).items():
            covariance += self.shared[name] * matrix
        return covariance


@dataclass(frozen=True)
class Responses:
    """Tasks that were evaluated on the same runs, in logs.

    Attributes:
        tasks: [B] their positions.
        design: [K, p] the design, centred under the weights.
        centre: [p] the means that were taken off.
        Z: [K, B] log(y - c), centred under the weights.
        means: [B] the means that were taken off.
        weights: [K].
        floors: [B] c in BPB.
    """

    tasks: NDArray[np.intp]
    design: Array
    centre: Array
    Z: Array
    means: Array
    weights: Array
    floors: Array

    @property
    def moments(self) -> Moments:
        """Their sums over runs."""
        return Moments.of(self.design, self.Z, self.weights)

    @property
    def log_slopes(self) -> Array:
        """[B] sum of log(y - c) over as many runs as there are degrees of freedom: the Jacobian of the logs."""
        return np.asarray(self.means * self.moments.freedom, dtype=np.float64)


def level_indicators(prior: SwarmPrior | None, runs: Sequence[str]) -> Array:
    """Indicate the other swarms of runs.

    Args:
        prior: The swarms of the runs; None where all are of one.
        runs: [K] ids.

    Returns:
        [K, S] 1 where a run belongs to an other swarm.
    """
    return np.empty((len(runs), 0)) if prior is None else replace(prior, level_precision=1.0).levels(runs)


def in_logs(
    evidence: SwarmData, design: Array, weights: Array, tasks: NDArray[np.intp], shares: Array
) -> list[Responses]:
    """Group tasks by the runs that they were evaluated on, and take logs.

    Args:
        evidence: The runs.
        design: [K, p].
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.
        tasks: [B] positions of the tasks that can be fitted.
        shares: [T] c as a share of the least BPB.

    Returns:
        The groups.
    """
    patterns: dict[bytes, list[int]] = {}
    for t in tasks:
        patterns.setdefault(weights[:, t].tobytes(), []).append(int(t))
    groups = []
    for members in patterns.values():
        columns = np.array(members, dtype=np.intp)
        weight = weights[:, columns[0]]
        share = weight / weight.sum()
        Y = evidence.Y[:, columns]
        floors = shares[columns] * np.min(np.where(weight[:, None] > 0, Y, np.inf), axis=0)
        Z = np.where(weight[:, None] > 0, np.log(np.maximum(Y - floors, 1e-9)), 0.0)
        centre, means = share @ design, share @ Z
        groups.append(Responses(columns, design - centre, centre, Z - means, means, weight, floors))
    return groups


def learn_shared_prior(
    evidence: SwarmData, run_weights: Array, prior: SwarmPrior | None, gamma: float | None
) -> SharedPrior:
    """Learn the prior.

    Args:
        evidence: The runs.
        run_weights: [K] weights of the runs.
        prior: How runs and leaves are related; None where they are not.
        gamma: Power of diminishing returns; None selects it.

    Returns:
        The prior of the greatest marginal likelihood.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    tasks = np.flatnonzero(~unfittable_tasks(evidence)[1])
    weights = filled(evidence, run_weights)[1]
    levels = level_indicators(prior, evidence.runs)
    components = _components(evidence.leaves, levels.shape[1], prior)
    learnt = []
    for power in SHARED_GAMMAS if gamma is None else (gamma,):
        design = np.hstack([Law(DIMINISHING_RETURNS, power).features(evidence.X), levels])

        def respond(shares: Array, design: Array = design) -> list[Responses]:
            return in_logs(evidence, design, weights, tasks, shares)

        usual = np.full(len(evidence.tasks), _USUAL_SHARE)
        theta = learn_covariance([group.moments for group in respond(usual)], components)
        shares = _best_shares(respond, components.covariance(theta), usual)
        theta = learn_covariance([group.moments for group in respond(shares)], components)
        surprise = sum(_surprises(group, components.covariance(theta)).sum() for group in respond(shares))
        learnt.append((float(surprise), power, theta, shares))
    _, power, theta, shares = min(learnt, key=lambda entry: entry[:2])
    variances = np.exp(theta)
    m = len(evidence.leaves)
    return SharedPrior(
        gamma=power,
        leaves=dict(zip(evidence.leaves, variances[:m].tolist(), strict=True)),
        shared=dict(zip(_relations(evidence.leaves, levels.shape[1], prior), variances[m:].tolist(), strict=True)),
        shares=dict(zip(evidence.tasks, shares.tolist(), strict=True)),
    )


def _best_shares(respond: Callable[[Array], list[Responses]], covariance: Array, usual: Array) -> Array:
    """The share of each task [T] with the greatest marginal likelihood of its BPB."""
    best, least = usual.copy(), np.full(len(usual), np.inf)
    for share in _SHARES:
        for group in respond(np.full(len(usual), share)):
            surprises = _surprises(group, covariance)
            better = surprises < least[group.tasks]
            best[group.tasks[better]] = share
            least[group.tasks] = np.minimum(least[group.tasks], surprises)
    return best


def _surprises(group: Responses, covariance: Array) -> Array:
    """[B] negative log marginal likelihood of the measured BPB, up to a constant."""
    return np.asarray(task_scales(group.moments, covariance).surprise + group.log_slopes, dtype=np.float64)


def _components(leaves: Sequence[str], levels: int, prior: SwarmPrior | None) -> Components:
    relations = _relations(leaves, levels, prior)
    return Components(
        leaves=len(leaves),
        shared=list(relations.values()),
        centre=np.array([*([0.0] * len(leaves)), *(_CENTRES[name] for name in relations)]),
        spread=np.array([*([_LEAF_SPREAD] * len(leaves)), *([_SPREAD] * len(relations))]),
    )


def _relations(leaves: Sequence[str], levels: int, prior: SwarmPrior | None) -> dict[str, Array]:
    """What coefficients share, {name: [m + S, m + S]}, by the names of `SharedPrior.shared`."""
    m = len(leaves)
    column = {leaf: j for j, leaf in enumerate(leaves)}

    def blocks(groups: Sequence[Sequence[int]]) -> Array:
        matrix = np.zeros((m + levels, m + levels))
        for members in groups:
            matrix[np.ix_(members, members)] += 1.0
        return matrix

    sources = [[column[leaf] for leaf in source if leaf in column] for source in (prior.sources if prior else ())]
    pairs = (prior.revised if prior else {}).items()
    revised = [[column[leaf], column[old]] for leaf, old in pairs if leaf in column and old in column]
    relations = {}
    if any(len(members) > 1 for members in sources):
        alone = sorted(set(range(m)) - {j for members in sources for j in members})
        relations["source"] = blocks([*sources, *([j] for j in alone)])
    relations["common"] = blocks([range(m)])
    if revised:
        relations["revision"] = blocks(revised)
    if levels:
        relations["level"] = np.diag([*([0.0] * m), *([1.0] * levels)])
    return relations
