"""From evidence to parameters: checks, canonical order, and how strongly to regularise.

Evidence is what proxies showed: a mixture per run and its bits per byte (BPB) on each task. A fit
minimises, per task, the mean Huber loss of one law plus a ridge on its coefficients (`laws`,
`levenberg`). How strong a ridge is chosen per task, and gamma of diminishing returns for all tasks
together, by leave-one-out error in closed form (`influence`) along a path from strong to weak
ridge, each solution starting the next.

Rows and columns are sorted by id before anything is computed, so their order changes no result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.influence import leave_one_out
from olmix_core.laws import DIMINISHING_RETURNS, LOG_LINEAR, Law, Parameters
from olmix_core.levenberg import Problems, Solution, minimise

Array = NDArray[np.float64]

RIDGES = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8)
GAMMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_STARTS = (0.1, 0.5, 0.9)  # c as a share of the lowest BPB seen
_SUM_TOLERANCE = 1e-6
_FEWEST_RUNS = 4  # a task seen in fewer is predicted by its mean
_GONE = -50.0  # b of a law that is a constant: exp(-50) is nothing


@dataclass(frozen=True)
class Evidence:
    """K proxy runs over m leaves, evaluated on T tasks.

    X [K, m] leaf mixtures, rows sum to 1; Y [K, T] BPB, NaN where a run was not evaluated on a
    task; runs, leaves and tasks name the rows and columns (leaves by content fingerprint). Raises
    FitError where a value cannot be meant.
    """

    X: Array
    Y: Array
    runs: tuple[str, ...]
    leaves: tuple[str, ...]
    tasks: tuple[str, ...]

    def __post_init__(self) -> None:
        shape_x, shape_y = (len(self.runs), len(self.leaves)), (len(self.runs), len(self.tasks))
        if self.X.shape != shape_x or self.Y.shape != shape_y:
            raise FitError(
                f"evidence has X {self.X.shape} and Y {self.Y.shape}; expected {shape_x} and "
                f"{shape_y} for {len(self.runs)} runs, {len(self.leaves)} leaves and {len(self.tasks)} tasks"
            )
        if 0 in (*shape_x, *shape_y):
            raise FitError("evidence is empty: a fit needs runs, leaves and tasks")
        for kind, ids in (("run", self.runs), ("leaf", self.leaves), ("task", self.tasks)):
            twice = sorted({name for name in ids if ids.count(name) > 1})
            if twice:
                raise FitError(f"{kind} {twice[0]!r} appears more than once; ids must be unique")
        self._check_mixtures()
        self._check_scores()

    def _check_mixtures(self) -> None:
        bad = np.argwhere(~(np.isfinite(self.X) & (self.X >= 0)))
        if len(bad):
            k, j = bad[0]
            raise FitError(
                f"run {self.runs[k]!r} gives leaf {self.leaves[j]!r} the weight {self.X[k, j]}; "
                "expected a finite number >= 0"
            )
        sums = self.X.sum(axis=1)
        off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
        if len(off):
            raise FitError(
                f"the mixture of run {self.runs[off[0]]!r} sums to {sums[off[0]]:.9g}, not to 1 "
                f"({len(off)} of {len(sums)} runs); is a leaf missing?"
            )

    def _check_scores(self) -> None:
        bad = np.argwhere(np.isinf(self.Y) | (self.Y <= 0))
        if len(bad):
            k, t = bad[0]
            raise FitError(
                f"run {self.runs[k]!r} has {self.Y[k, t]} on task {self.tasks[t]!r}; expected "
                "bits per byte: a finite number > 0, or NaN where the run was not evaluated"
            )
        for t in np.flatnonzero(np.isnan(self.Y).all(axis=0)):
            raise FitError(f"no run was evaluated on task {self.tasks[t]!r}; drop the task or evaluate it")

    def rows(self, index: NDArray[np.intp]) -> "Evidence":
        """The evidence of some runs only."""
        runs = tuple(self.runs[k] for k in index)
        return Evidence(self.X[index], self.Y[index], runs, self.leaves, self.tasks)

    def canonical(self) -> tuple["Evidence", NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """The same evidence sorted by id, and the orders of rows, leaves and tasks that sort it."""
        rows, leaves, tasks = (
            np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)
            for ids in (self.runs, self.leaves, self.tasks)
        )
        evidence = Evidence(
            self.X[np.ix_(rows, leaves)],
            self.Y[np.ix_(rows, tasks)],
            tuple(self.runs[k] for k in rows),
            tuple(self.leaves[j] for j in leaves),
            tuple(self.tasks[t] for t in tasks),
        )
        return evidence, rows, leaves, tasks


@dataclass(frozen=True)
class Estimate:
    """Parameters of one law for all tasks of an Evidence, in its order.

    ridge [T]; loss [T] without penalty; errors [K, T] leave-one-out residuals (zero where unknown);
    score: mean over tasks of the root mean square leave-one-out error as a share of the task's own
    spread; flags: what to know of a task.
    """

    law: Law
    parameters: Parameters
    weights: Array
    ridge: Array
    loss: Array
    errors: Array
    score: float
    flags: dict[str, str]


def estimate(
    evidence: Evidence,
    law: Law,
    *,
    huber_delta: float,
    ridge: float | None,
    run_weights: Array,
) -> Estimate:
    """Fit `law` to every task; `ridge` None chooses it per task by leave-one-out error."""
    flags, hopeless = _hopeless(evidence)
    weights = np.where(np.isnan(evidence.Y), 0.0, run_weights[:, None])
    total = weights.sum(axis=0)
    if (total <= 0).any():
        task = evidence.tasks[int(np.argmin(total))]
        raise FitError(f"the runs evaluated on task {task!r} all have weight 0")
    Y = np.where(np.isnan(evidence.Y), 0.0, evidence.Y)
    fitted = np.flatnonzero(~hopeless)
    design = law.features(evidence.X)

    means = np.sum(weights * Y, axis=0) / total
    theta = np.zeros((len(evidence.tasks), len(evidence.leaves) + 2))
    theta[:, 0], theta[:, 1] = means, _GONE
    errors = np.where(weights > 0, means - Y, 0.0)
    spread = np.sqrt(np.sum(weights * errors**2, axis=0) / total)
    ridges = np.zeros(len(evidence.tasks))
    loss = np.zeros(len(evidence.tasks))
    if len(fitted):
        problems = Problems(
            design,
            Y[:, fitted],
            weights[:, fitted],
            np.zeros(len(fitted)),
            huber_delta,
            law.nonnegative,
        )
        if ridge is None:
            problems, warm = _choose_ridge(problems)
        else:
            problems, warm = _with_ridge(problems, np.full(len(fitted), ridge)), ()
        solution = _best(problems, warm)
        theta[fitted] = solution.theta
        ridges[fitted] = problems.ridge
        left_out, _ = leave_one_out(problems, solution.theta)
        errors[:, fitted] = np.where(problems.weights > 0, left_out, 0.0)
        loss[fitted] = solution.loss - 0.5 * problems.ridge * np.sum(solution.theta[:, 2:] ** 2, axis=1)
        for t, converged in zip(fitted, solution.converged, strict=True):
            if not converged:
                flags[evidence.tasks[t]] = "the fit did not converge; its law may be off"
    size = np.sqrt(np.sum(weights * np.minimum(errors**2, 4 * spread**2), axis=0) / total)
    relative = size[fitted] / spread[fitted]
    for t, share in zip(fitted, relative, strict=True):
        if share >= 1:
            flags.setdefault(
                evidence.tasks[t],
                f"not explained by the mixture: leave-one-out error {size[t]:.3g} BPB, "
                f"scatter of the runs {spread[t]:.3g}",
            )
    return Estimate(
        law=law,
        parameters=Parameters(theta[:, 0], theta[:, 1], theta[:, 2:]),
        weights=weights,
        ridge=ridges,
        loss=loss,
        errors=errors,
        score=float(np.mean(relative)) if len(fitted) else 0.0,
        flags=flags,
    )


def choose_gamma(evidence: Evidence, *, huber_delta: float, ridge: float | None, run_weights: Array) -> float:
    """The gamma of diminishing returns with the least leave-one-out error over all tasks."""
    scores = {
        gamma: estimate(
            evidence,
            Law(DIMINISHING_RETURNS, gamma),
            huber_delta=huber_delta,
            ridge=ridge,
            run_weights=run_weights,
        ).score
        for gamma in GAMMAS
    }
    return min(scores, key=lambda gamma: scores[gamma])


def paper_form(estimated: Estimate) -> Parameters:
    """Parameters with b folded into A = b + v for the log-linear law (a mixture sums to 1); else as
    they are.
    """
    p = estimated.parameters
    if estimated.law.family != LOG_LINEAR:
        return p
    return Parameters(p.c, np.zeros_like(p.b), p.v + p.b[:, None])


def _hopeless(evidence: Evidence) -> tuple[dict[str, str], NDArray[np.bool_]]:
    """Tasks that no law can be fitted to, with the reason; each is predicted by its mean."""
    flags: dict[str, str] = {}
    hopeless = np.zeros(len(evidence.tasks), dtype=bool)
    for t, task in enumerate(evidence.tasks):
        seen = evidence.Y[~np.isnan(evidence.Y[:, t]), t]
        if np.ptp(seen) <= 1e-9 * np.max(seen) and len(seen) >= _FEWEST_RUNS:
            flags[task] = f"constant: {seen[0]:.6g} BPB in every run, whatever the mixture"
        elif len(seen) < _FEWEST_RUNS:
            flags[task] = f"evaluated in {len(seen)} runs only: predicted by their mean"
        hopeless[t] = task in flags
    return flags, hopeless


def _with_ridge(problems: Problems, ridge: Array) -> Problems:
    """The same problems under another ridge [B]."""
    return Problems(problems.design, problems.Y, problems.weights, ridge, problems.delta, problems.nonnegative)


def _start(problems: Problems, share: float) -> Array:
    """Parameters [B, p + 2] of a constant at the mean, with c at a share of the lowest BPB seen."""
    seen = problems.weights > 0
    lowest = np.min(np.where(seen, problems.Y, np.inf), axis=0)
    mean = np.sum(problems.weights * problems.Y, axis=0) / problems.weights.sum(axis=0)
    c = share * lowest
    return np.column_stack([c, np.log(mean - c), np.zeros((len(c), problems.design.shape[1]))])


def _choose_ridge(problems: Problems) -> tuple[Problems, tuple[Array, ...]]:
    """The ridge of each task with the least leave-one-out error, and the solutions found on the way
    there.
    """
    theta = _start(problems, 0.5)
    spread = np.sum(problems.weights * (problems.Y - _start_mean(problems)) ** 2, axis=0)
    scores, thetas = [], []
    for value in RIDGES:
        trial = _with_ridge(problems, np.full(len(theta), value))
        theta = minimise(trial, theta, iterations=60, tol=1e-7).theta
        errors, _ = leave_one_out(trial, theta)
        cap = 4 * spread / problems.weights.sum(axis=0)
        scores.append(np.sum(problems.weights * np.minimum(errors**2, cap), axis=0))
        thetas.append(theta)
    best = np.argmin(np.array(scores), axis=0)
    chosen = np.array(RIDGES)[best]
    return _with_ridge(problems, chosen), (np.array(thetas)[best, np.arange(len(best))],)


def _start_mean(problems: Problems) -> Array:
    """Weighted mean BPB [B] of the runs seen."""
    return np.asarray(np.sum(problems.weights * problems.Y, axis=0) / problems.weights.sum(axis=0))


def _best(problems: Problems, warm: Sequence[Array]) -> Solution:
    """The lowest of the minima reached from every start."""
    starts = [*warm, *(_start(problems, share) for share in _STARTS)]
    count, size = len(starts), len(problems.ridge)
    everything = np.tile(np.arange(size), count)
    found = minimise(problems.subset(everything), np.vstack(starts))
    best = np.argmin(found.loss.reshape(count, size), axis=0) * size + np.arange(size)
    return Solution(found.theta[best], found.loss[best], found.converged[best], found.iterations)
