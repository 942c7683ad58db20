"""The runs of a fit: what is kept of them, and that it comes back."""

import numpy as np
import pytest

from olmix_core.errors import StoreError
from olmix_core.mixes.runs import SCHEMA, FittedRun, from_parquet, held_out, to_parquet
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate
from olmix_core.surrogate.settings import FitSettings


def test_held_out_runs_are_those_measured_with_predictions_that_have_not_seen_them() -> None:
    random = np.random.default_rng(0)
    x = random.dirichlet([1.0, 1.0, 1.0], 20)
    y = 1 + np.exp(x @ random.normal(size=(3, 2))) + random.normal(0, 0.01, (20, 2))
    y[3, 1] = np.nan
    x[0] = (0.0, 0.4, 0.6)
    runs = tuple(f"r{(7 * k) % 20:02d}" for k in range(20))
    evidence = SwarmData(x, y, runs, ("a", "b", "c"), ("s", "t"))
    diagnostics = cross_validate(evidence, FitSettings(family="log_linear"))
    found = held_out(evidence, diagnostics)
    assert [run.run for run in found] == sorted(runs)
    by_id = {run.run: run for run in found}
    assert by_id[runs[0]].mixture == {"b": 0.4, "c": 0.6}
    assert set(by_id[runs[3]].measured) == set(by_id[runs[3]].predicted) == {"s"}
    errors = [abs(run.measured["s"] - run.predicted["s"]) for run in found]
    assert np.mean(errors) == pytest.approx(diagnostics.table().loc["s", "mae"])


def test_runs_come_back_as_they_were() -> None:
    runs = [
        FittedRun("k1", {"a": 0.25, "NA": 0.75}, {"t": 1.5}, {"t": 1.4}, {"t": 0.1}, "v0001", ((3, 4.5), (7, 3.25))),
        FittedRun("k2", {"a": 1.0}, {}, {}, {}),
    ]
    content = to_parquet(runs)
    assert from_parquet(content) == runs
    assert to_parquet(runs) == content


def test_a_damaged_file_is_told() -> None:
    with pytest.raises(StoreError, match=r"runs\.parquet cannot be read"):
        from_parquet(b"PAR1 but nothing else")


def test_the_schema_has_a_field_for_everything_in_a_run() -> None:
    assert set(SCHEMA.names) == set(FittedRun.__dataclass_fields__)
