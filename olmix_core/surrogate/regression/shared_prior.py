"""The prior on the coefficients of diminishing returns that all tasks share, learnt from the runs.

In logs the law f = c + exp(b - a . q^gamma) is linear, log(y - c) = b - a . q^gamma, once c is given. The coefficients
of task t have covariance sigma_t^2 r_t L (see `marginal_likelihood`), and L is a sum of

- a variance of each leaf: leaves that matter for one task matter for others;
- a covariance of all leaves of a source, where a leaf without kin is its own source;
- a covariance of all leaves, the level of usefulness that they have in common;
- a covariance of a revised leaf and its predecessor;
- the variance of the levels of other swarms.

c is a share of the least BPB of the task. Share and gamma of each task are those of the greatest marginal likelihood of
the measured BPB (with the Jacobian of the logs). How often each gamma occurs among the tasks is learnt as well, and is
the prior of each: where the runs of a task say little of its gamma, it gets a usual one.

Shapes: K runs, m leaves, S other swarms, T tasks, G values of gamma.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law
from olmix_core.surrogate.regression.marginal_likelihood import Components, learn_covariance, task_scales
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.responses import Responses, in_logs, level_indicators
from olmix_core.surrogate.regression.ridge_path import filled, unfittable_tasks

SHARED_GAMMAS = (0.4, 0.5, 0.6, 0.75)
_SHARES = (0.8, 0.9, 0.95)  # c as a share of the least BPB
_USUAL_SHARE = 0.8
_ROUNDS = 100  # of expectation and maximisation
_RAREST = 1e-6  # frequency of a gamma that no task prefers
_LEAF_SPREAD = 0.3  # standard deviation of the log variance of a leaf
_SPREAD = 2.0  # the same of the variances that leaves share
_CENTRES = {"source": -1.0, "common": -1.0, "revision": 1.0, "level": -3.0}  # means of their logs


class SharedPriorJSON(TypedDict):
    """A `SharedPrior`; an earlier form has one `gamma` of all tasks in place of `gammas`."""

    gammas: NotRequired[dict[str, float]]
    gamma: NotRequired[float]
    leaves: dict[str, float]
    shared: dict[str, float]
    shares: dict[str, float]


@dataclass(frozen=True)
class SharedPrior:
    """What was learnt.

    Attributes:
        gammas: {task: power of diminishing returns}.
        leaves: {leaf: variance of its own}.
        shared: {source, common, revision, level: variance}; those that apply.
        shares: {task: c as a share of its least BPB}.
    """

    gammas: Mapping[str, float]
    leaves: Mapping[str, float]
    shared: Mapping[str, float]
    shares: Mapping[str, float]

    def to_json(self) -> SharedPriorJSON:
        """Write the prior as JSON.

        Returns:
            Plain JSON values.
        """
        return {
            "gammas": dict(self.gammas),
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
        gammas = data["gammas"] if "gammas" in data else dict.fromkeys(data["shares"], data["gamma"])
        return cls(gammas, data["leaves"], data["shared"], data["shares"])

    def law(self, tasks: Sequence[str]) -> Law:
        """The form of the law of some tasks.

        Args:
            tasks: Their names.

        Returns:
            Diminishing returns with the gamma of each.
        """
        return Law.of_powers([self.gammas[task] for task in tasks])

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


def learn_shared_prior(
    evidence: SwarmData, run_weights: Array, prior: SwarmPrior | None, gamma: float | None
) -> SharedPrior:
    """Learn the prior.

    Args:
        evidence: The runs.
        run_weights: [K] weights of the runs.
        prior: How runs and leaves are related; None where they are not.
        gamma: Power of diminishing returns; None selects that of each task.

    Returns:
        The prior of the greatest marginal likelihood.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    levels = level_indicators(prior, evidence.runs)
    components = _components(evidence.leaves, levels.shape[1], prior)
    powers = SHARED_GAMMAS if gamma is None else (gamma,)
    candidates = _Candidates(
        evidence=evidence,
        weights=filled(evidence, run_weights)[1],
        tasks=np.flatnonzero(~unfittable_tasks(evidence)[1]),
        designs=tuple(np.hstack([Law(DIMINISHING_RETURNS, power).features(evidence.X), levels]) for power in powers),
    )
    # The best prior with one gamma for all tasks, then that with a gamma for each.
    learnt = [_with_one_power(candidates, power, components) for power in range(len(powers))]
    _, theta = min(learnt, key=lambda entry: entry[0])
    chosen = candidates.choose(components.covariance(theta))
    theta = learn_covariance([group.moments for group in candidates.responses(chosen)], components, theta)
    chosen = candidates.choose(components.covariance(theta))
    variances = np.exp(theta)
    m = len(evidence.leaves)
    return SharedPrior(
        gammas={task: powers[power] for task, power in zip(evidence.tasks, chosen.powers, strict=True)},
        leaves=dict(zip(evidence.leaves, variances[:m].tolist(), strict=True)),
        shared=dict(zip(_relations(evidence.leaves, levels.shape[1], prior), variances[m:].tolist(), strict=True)),
        shares=dict(zip(evidence.tasks, chosen.shares.tolist(), strict=True)),
    )


@dataclass(frozen=True)
class _Choice:
    """The gamma [T] of each task, as a position, and c as a share [T] of its least BPB."""

    powers: NDArray[np.intp]
    shares: Array


@dataclass(frozen=True)
class _Candidates:
    """The runs, the tasks [B] that can be fitted, and the design [K, m + S] under each gamma."""

    evidence: SwarmData
    weights: Array
    tasks: NDArray[np.intp]
    designs: tuple[Array, ...]

    def responses(self, chosen: _Choice) -> list[Responses]:
        """The tasks in groups of equal gamma and runs, in logs."""
        groups = []
        for power, design in enumerate(self.designs):
            members = self.tasks[chosen.powers[self.tasks] == power]
            groups += in_logs(self.evidence, design, self.weights, members, chosen.shares)
        return groups

    def surprises(self, power: int, covariance: Array) -> tuple[Array, Array]:
        """The surprise [T] of each task with its best share, and that share [T]; 0 for tasks that are not fitted."""
        count = len(self.evidence.tasks)
        best, least = np.full(count, _USUAL_SHARE), np.zeros(count)
        least[self.tasks] = np.inf
        for share in _SHARES:
            shares = np.full(count, share)
            for group in in_logs(self.evidence, self.designs[power], self.weights, self.tasks, shares):
                surprises = _surprises(group, covariance)
                better = surprises < least[group.tasks]
                best[group.tasks[better]] = share
                least[group.tasks] = np.minimum(least[group.tasks], surprises)
        return least, best

    def choose(self, covariance: Array) -> _Choice:
        """The gamma and share of each task that make its BPB most likely."""
        both = [self.surprises(power, covariance) for power in range(len(self.designs))]
        surprises, shares = (np.array(part) for part in zip(*both, strict=True))
        chosen = np.argmax(_beliefs(surprises, self.tasks), axis=0)
        return _Choice(chosen, shares[chosen, np.arange(len(chosen))])


def _with_one_power(candidates: _Candidates, power: int, components: Components) -> tuple[float, Array]:
    """The surprise of all tasks under one gamma and the best prior for it, and the logs of its variances."""
    count = len(candidates.evidence.tasks)
    everywhere, usual = np.full(count, power), np.full(count, _USUAL_SHARE)

    def learn(shares: Array, start: Array | None) -> Array:
        groups = candidates.responses(_Choice(everywhere, shares))
        return learn_covariance([group.moments for group in groups], components, start)

    theta = learn(usual, None)
    _, shares = candidates.surprises(power, components.covariance(theta))
    theta = learn(shares, theta)
    covariance = components.covariance(theta)
    groups = candidates.responses(_Choice(everywhere, shares))
    return float(sum(_surprises(group, covariance).sum() for group in groups)), theta


def _beliefs(surprises: Array, tasks: NDArray[np.intp]) -> Array:
    """The probability [G, T] of each gamma for each task, whose prior is how often it occurs among the tasks (EM)."""
    likelihood = np.exp(surprises.min(axis=0) - surprises)
    frequency = np.full(len(surprises), 1 / len(surprises))
    for _ in range(_ROUNDS):
        beliefs = likelihood * frequency[:, None]
        beliefs /= beliefs.sum(axis=0)
        if len(tasks):
            frequency = np.maximum(beliefs[:, tasks].mean(axis=1), _RAREST)
    return np.asarray(beliefs)


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
