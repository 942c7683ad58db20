"""A surrogate around any regressor: fitted to all runs, and once more without each fifth of them.

The refits are the held-out predictions of cross-validation and, as a delete-a-group jackknife (Kott 2001), the error of
the whole fit: with G groups, var g = (G - 1) / G sum_k (g_k - mean g)^2 for any predicted quantity g, such as the
difference between two mixtures. It has G - 1 degrees of freedom (see `Refits.spread`). The JSON holds the runs rather
than trees or kernels; fitting again gives the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Diagnostics
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.refits import Predictor, Refits, Regressor
from olmix_core.surrogate.surrogate_json import JackknifeJSON, column_names
from olmix_core.surrogate.task_weights import normalised

_STEP = 1e-5  # of a weight, for slopes


@dataclass(frozen=True)
class JackknifeSurrogate:
    """A regressor fitted to every task of a swarm.

    Attributes:
        regressor: The regressor.
        swarm: The runs.
        run_weights: [K] weights of the runs.
        seed: Seed of the shuffle that assigns runs to groups.

    Raises:
        FitError: A task has fewer than two runs outside some group.
    """

    regressor: Regressor
    swarm: SwarmData
    run_weights: Array
    seed: int = 0

    def __post_init__(self) -> None:
        self._refits.check()

    @cached_property
    def _refits(self) -> Refits:
        return Refits(self.regressor, self.swarm, self.run_weights, self.seed)

    @property
    def family(self) -> str:
        """Name of the regressor's family."""
        return self.regressor.family

    @property
    def gamma(self) -> None:
        """None: there is no such power."""
        return None

    @property
    def is_convex(self) -> bool:
        """False: nothing is known of the shape of the predictions."""
        return False

    @property
    def is_smooth(self) -> bool:
        """Whether predictions have useful gradients."""
        return self.regressor.is_smooth

    @property
    def fitted_law(self) -> None:
        """None: predictions have no closed form."""
        return None

    @property
    def flags(self) -> Mapping[str, str]:
        """Empty: no task is flagged."""
        return {}

    @property
    def leaves(self) -> tuple[str, ...]:
        """[m] names of the columns of a mixture."""
        return self.swarm.leaves

    @property
    def tasks(self) -> tuple[str, ...]:
        """[T] names of the columns of a prediction."""
        return self.swarm.tasks

    @property
    def notes(self) -> tuple[str, ...]:
        """A remark on proposals."""
        return (f"family {self.family} is not convex: the proposal is the best of a search, without certificate",)

    @property
    def trained_mixtures(self) -> Array:
        """[K, m] the mixtures of the runs."""
        return self.swarm.X

    @property
    def proposes_runs_only(self) -> bool:
        """Whether only the mixtures of the runs may be proposed."""
        return self.regressor.proposes_runs_only

    def predict(self, Q: Array) -> Array:
        """Predict every task.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] BPB.
        """
        return self._refits.predict(Q)

    def gradient(self, q: Array) -> Array:
        """Differentiate every task by finite differences.

        Args:
            q: [m] one mixture.

        Returns:
            [T, m] d f_t / d q_j, BPB per unit of weight.
        """
        return _slope(self.predict, q).T

    def std(self, Q: Array) -> Array:
        """Estimate the error of predictions from the refits.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        return self._refits.spread(lambda predict: predict(Q))

    def noise(self, Q: Array) -> Array:
        """Estimate the scatter of runs from held-out errors.

        Args:
            Q: [n, m] mixtures of the runs.

        Returns:
            [n, T] standard deviations in BPB; somewhat too large, since they contain the error of the fit as well.
        """
        return np.tile(np.sqrt(np.diagonal(self._refits.noise_covariance)), (len(Q), 1))

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Predict the weighted mean over tasks.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] BPB.
        """
        return np.asarray(self.predict(Q) @ normalised(task_weights, self.tasks))

    def objective_stds(self, Q: Array, task_weights: Array | None = None, reference: Array | None = None) -> Array:
        """Estimate the error of the objective from the refits.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, normalised to sum to 1; None means equal.
            reference: [m] a mixture; where it is given, the error of differences to it.

        Returns:
            [n] standard deviations in BPB.
        """
        weights = normalised(task_weights, self.tasks)

        def value(predict: Predictor) -> Array:
            at = predict(Q) @ weights
            return at if reference is None else at - predict(reference[None]) @ weights

        return self._refits.spread(value)

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        """Estimate the error of the objective at one mixture from the refits.

        Args:
            q: [m] the mixture.
            task_weights: [T] weights, normalised to sum to 1; None means equal.
            reference: [m] a mixture; where it is given, the error of the difference to it.

        Returns:
            Standard deviation in BPB.
        """
        return float(self.objective_stds(q[None], task_weights, reference)[0])

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        """Differentiate the error of the objective by finite differences.

        Args:
            q: [m] one mixture.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            The standard deviation in BPB, and its slope [m].
        """
        weights = normalised(task_weights, self.tasks)
        return self.objective_std(q, weights), _slope(lambda Q: self.objective_stds(Q, weights), q)

    def objective_noises(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Estimate the scatter of runs around the objective from held-out errors.

        Args:
            Q: [n, m] mixtures of the runs.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] standard deviations in BPB.
        """
        weights = normalised(task_weights, self.tasks)
        return np.full(len(Q), np.sqrt(weights @ self._refits.noise_covariance @ weights))

    def diagnostics(self, task_weights: Array | None = None) -> Diagnostics:
        """Collect the held-out predictions of the refits.

        Args:
            task_weights: [T] weights of the objective, normalised to sum to 1; None means equal.

        Returns:
            Held-out predictions of all runs.
        """
        weights, X = normalised(task_weights, self.tasks), self.swarm.X
        return Diagnostics(
            family=self.family,
            gamma=None,
            runs=self.swarm.runs,
            tasks=self.tasks,
            predicted=self._refits.held_out,
            observed=self.swarm.Y,
            std=np.hypot(self.std(X), self.noise(X)),
            objective_predicted=self._refits.held_out @ weights,
            objective_observed=self.swarm.Y @ weights,
            objective_std=np.hypot(self.objective_stds(X, task_weights), self.objective_noises(X, task_weights)),
        )

    def to_json(self) -> JackknifeJSON:
        """Write the runs as JSON; NaN becomes null.

        Returns:
            Plain JSON values, from which `from_json` makes an equal surrogate.
        """
        return {
            "family": self.family,
            "domains": [{"fingerprint": leaf} for leaf in self.leaves],
            "tasks": {
                task: {"bpb": [None if math.isnan(bpb) else bpb for bpb in column]}
                for task, column in zip(self.tasks, self.swarm.Y.T.tolist(), strict=True)
            },
            "runs": list(self.swarm.runs),
            "mixtures": self.swarm.X.tolist(),
            "weights": self.run_weights.tolist(),
            "seed": self.seed,
            "flags": {},
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, regressor: Regressor, data: JackknifeJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            regressor: The regressor of the family.
            data: The JSON.

        Returns:
            The surrogate.

        Raises:
            FitError: A field is missing or has another shape.
        """
        try:
            swarm = SwarmData(
                X=np.asarray(data["mixtures"], dtype=np.float64),
                Y=np.asarray([task["bpb"] for task in data["tasks"].values()], dtype=np.float64).T,
                runs=tuple(data["runs"]),
                leaves=column_names(data["domains"]),
                tasks=tuple(data["tasks"]),
            )
            return cls(regressor, swarm, np.asarray(data["weights"], dtype=np.float64), int(data["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FitError(f"not a surrogate as this version writes it: {error!r}; fit it again") from error


def _slope(value: Predictor, q: Array) -> Array:
    """[m, ...] differences of `value` [n, ...] around q [m], one-sided where a weight would fall below 0."""
    m, down = len(q), np.minimum(_STEP, q)
    points = np.concatenate([q + _STEP * np.eye(m), q - down * np.eye(m)])
    values = value(points)
    step = (_STEP + down).reshape(m, *[1] * (values.ndim - 1))
    return np.asarray((values[:m] - values[m:]) / step)
