"""The data of a fit rejects invalid values."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from olmix_core.errors import FitError
from olmix_core.surrogate.test_problems import log_linear


def test_invalid_data_is_refused() -> None:
    evidence = log_linear(4, 3).evidence(20, seed=0)
    X, Y = evidence.X, evidence.Y

    def changed(values: np.ndarray, k: int, j: int, value: float) -> np.ndarray:
        values = values.copy()
        values[k, j] = value
        return values

    cases: list[tuple[dict[str, Any], str]] = [
        ({"Y": changed(Y, 3, 1, np.inf)}, "run0003.*task01"),
        ({"Y": changed(Y, 3, 1, -1.0)}, "run0003.*task01"),
        ({"X": changed(X, 5, 2, np.nan)}, "run0005.*leaf002"),
        ({"X": changed(X, 5, 2, -0.1)}, "run0005.*leaf002"),
        ({"X": X * 0.9}, "run0000.*sums to 0.9"),
        ({"Y": np.where(np.arange(3) == 1, np.nan, Y)}, "no run was evaluated on task 'task01'"),
        ({"runs": ("a",) * 20}, "'a' appears more than once"),
        ({"leaves": ("a", "b", "c")}, "expected"),
    ]
    for change, message in cases:
        with pytest.raises(FitError, match=message):
            replace(evidence, **change)
