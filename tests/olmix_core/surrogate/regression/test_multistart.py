"""The lowest minimum is found although the first starts miss it, and a task's answer is its own."""

import numpy as np
import pytest
from scipy.optimize import minimize

from olmix_core.surrogate.regression.levenberg_marquardt import Problems, huber
from olmix_core.surrogate.regression.multistart import lowest_minimum
from tests.support.properties import tries

DELTA = 0.02


def problems(tasks: int, seed: int = 0) -> Problems:
    """Few noisy runs and no ridge: losses with many minima."""
    random = np.random.default_rng(seed)
    X = random.dirichlet(np.full(8, 0.3), 30)
    Y = 0.8 + np.exp(X @ random.normal(-0.5, 0.8, (8, tasks))) + random.normal(0, 0.15, (30, tasks))
    return Problems(X, np.maximum(Y, 0.1), np.ones((30, tasks)), np.zeros(tasks), DELTA, nonnegative=False)


def reference(part: Problems, task: int, starts: int) -> float:
    """The lowest mean Huber loss of L-BFGS from many starts, as the method is run in practice."""
    X, y = part.design, part.Y[:, task]
    random = np.random.default_rng(task)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        decay = np.exp(np.minimum(X @ theta[1:], 50.0))
        residual = np.exp(theta[0]) + decay - y
        pull = np.clip(residual, -DELTA, DELTA) / len(y)
        gradient = np.concatenate([[np.exp(theta[0]) * pull.sum()], X.T @ (pull * decay)])
        return float(huber(residual, DELTA).mean()), gradient

    levels = np.resize(np.linspace(-2, 1.5, 10), starts)
    points = np.column_stack([levels, random.uniform(-1, 1, (starts, X.shape[1]))])
    return min(float(minimize(loss, point, jac=True, method="L-BFGS-B").fun) for point in points)


@pytest.mark.scaled
def test_no_loss_is_above_that_of_many_starts_of_another_solver() -> None:
    tasks, starts = tries(2, 4), tries(20, 60)
    part = problems(tasks)
    found = lowest_minimum(part, None, restarts=True)
    assert found.converged.all()
    for task in range(tasks):
        assert found.loss[task] <= reference(part, task, starts) * (1 + 1e-6)


def test_more_starts_help_where_the_first_ones_disagree() -> None:
    part = problems(12)
    one, many = lowest_minimum(part, None, restarts=False), lowest_minimum(part, None, restarts=True)
    assert (many.loss <= one.loss * (1 + 1e-9)).all()
    assert (many.loss < 0.999 * one.loss).any()


def test_a_task_does_not_depend_on_the_others() -> None:
    part = problems(6)
    together = lowest_minimum(part, None, restarts=True)
    for task in range(6):
        alone = lowest_minimum(part.subset(np.array([task])), None, restarts=True)
        assert alone.loss[0] == pytest.approx(together.loss[task], rel=1e-6)
