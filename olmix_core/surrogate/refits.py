"""Fits of a regressor: one to all runs of a swarm, and one without each group of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.intervals import NORMAL_90
from olmix_core.surrogate.regression.noise import noise_covariance

GROUPS = 5
_T_90 = 2.1318467863266495  # half width of a 90 % interval of the t distribution with GROUPS - 1 degrees of freedom

Predictor = Callable[[Array], Array]


@dataclass(frozen=True)
class Regressor:
    """A function from the runs of one task to a predictor of its BPB.

    Attributes:
        family: Name of the family.
        fit: (mixtures X [K, m], BPB y [K], run weights [K] > 0) to a predictor of mixtures Q [n, m].
        is_smooth: Predictions have useful gradients.
        proposes_runs_only: Only the mixtures of the runs may be proposed.
        extra: The extra of olmix-flows that installs what `fit` imports; None where it imports nothing else.
    """

    family: str
    fit: Callable[[Array, Array, Array], Predictor]
    is_smooth: bool = True
    proposes_runs_only: bool = False
    extra: str | None = None


@dataclass(frozen=True)
class Refits:
    """A regressor of every task, fitted to all runs and without each group.

    Attributes:
        regressor: The regressor.
        swarm: The runs.
        run_weights: [K] weights of the runs.
        seed: Seed of the shuffle that assigns runs to groups.
    """

    regressor: Regressor
    swarm: SwarmData
    run_weights: Array
    seed: int

    def check(self) -> None:
        """Check that every refit has enough runs.

        Raises:
            FitError: A task has fewer than two runs outside some group.
        """
        seen = ~np.isnan(self.swarm.Y) & (self.run_weights > 0)[:, None]
        for t, task in enumerate(self.swarm.tasks):
            if min(seen[self._groups != k, t].sum() for k in range(GROUPS)) < 2:
                raise FitError(
                    f"family {self.regressor.family!r}: task {task!r} was evaluated in {seen[:, t].sum()} runs;"
                    f" expected at least {2 * GROUPS}, or a law (log_linear, diminishing_returns)"
                )

    @cached_property
    def _groups(self) -> NDArray[np.intp]:
        return Folds(GROUPS, self.seed).assign(self.swarm.runs)

    def _fit(self, rows: NDArray[np.bool_]) -> Predictor:
        """A predictor of all tasks, fitted to some of the runs in the order of their ids."""
        order = np.array(sorted(range(len(rows)), key=self.swarm.runs.__getitem__), dtype=np.intp)
        leaves = np.array(sorted(range(len(self.swarm.leaves)), key=self.swarm.leaves.__getitem__), dtype=np.intp)

        def fit_task(t: int) -> Predictor:
            used = order[(rows & ~np.isnan(self.swarm.Y[:, t]) & (self.run_weights > 0))[order]]
            X, y = self.swarm.X[np.ix_(used, leaves)], self.swarm.Y[used, t]
            predict = self.regressor.fit(X, y, self.run_weights[used])
            return lambda Q: predict(np.ascontiguousarray(Q[:, leaves]))

        try:
            predictors = [fit_task(t) for t in range(len(self.swarm.tasks))]
        except ImportError as error:
            raise FitError(
                f"family {self.regressor.family!r}: a package that it needs is not installed; expected: pip install"
                f" 'olmix-flows[{self.regressor.extra}]'"
            ) from error
        return lambda Q: np.stack([predict(Q) for predict in predictors], axis=1)

    @cached_property
    def predict(self) -> Predictor:
        """The fit to all runs: mixtures [n, m] to BPB [n, T]."""
        return self._fit(np.ones(len(self.swarm.runs), dtype=bool))

    @cached_property
    def _without(self) -> list[Predictor]:
        return [self._fit(self._groups != group) for group in range(GROUPS)]

    @cached_property
    def held_out(self) -> Array:
        """[K, T] the prediction of each run by the refit without it."""
        predicted = np.empty(self.swarm.Y.shape)
        for group, predict in enumerate(self._without):
            rows = self._groups == group
            predicted[rows] = predict(self.swarm.X[rows])
        return predicted

    @cached_property
    def noise_covariance(self) -> Array:
        """[T, T] covariance of the held-out errors of one run on the tasks."""
        seen = ~np.isnan(self.swarm.Y)
        errors = np.where(seen, self.held_out - self.swarm.Y, 0.0)
        return noise_covariance(errors, np.zeros(errors.shape), seen.astype(np.float64))

    def spread(self, value: Callable[[Predictor], Array]) -> Array:
        """Estimate the error of a predicted quantity by the delete-a-group jackknife.

        With G groups the estimate has G - 1 degrees of freedom. It is scaled so that `NORMAL_90` times it is half the
        width of a 90 % interval by Student's t distribution.

        Args:
            value: The quantity by a fit: a predictor to an array of any shape.

        Returns:
            Standard deviations times the ratio of the quantiles of t and of the normal distribution, of that shape.
        """
        stacked = np.stack([value(predict) for predict in self._without])
        scatter = np.sum((stacked - stacked.mean(axis=0)) ** 2, axis=0)
        return np.asarray(_T_90 / NORMAL_90 * np.sqrt((GROUPS - 1) / GROUPS * scatter))
