"""What a study reports of the larger model: paired gains, their intervals, and a verdict of one seed without any."""

import pytest

from benchmarks.study_report import measured_gain


def run(mixture: str, seed: int, **bpb: float) -> dict[str, object]:
    return {"mixture": mixture, "seed": seed, "bpb": bpb}


def test_seeds_are_paired_so_that_what_they_share_is_no_error() -> None:
    runs = [
        run("natural", 0, code=3.0, text=2.0),
        run("proposed", 0, code=2.8, text=1.9),
        run("natural", 1, code=4.0, text=3.0),  # a worse seed for both
        run("proposed", 1, code=3.6, text=2.9),
    ]

    found = measured_gain(runs, "proposed", {"code": 0.5, "text": 0.5})

    # Gains of 0.15 and 0.25: standard error 0.05, and t of 0.95 with one degree of freedom is 6.314.
    assert found["natural"] == pytest.approx(3.0)
    assert found["bpb"] == pytest.approx(0.2)
    assert found["low"] == pytest.approx(0.2 - 6.3138 * 0.05, abs=1e-4)
    assert found["high"] == pytest.approx(0.2 + 6.3138 * 0.05, abs=1e-4)
    assert found["share"] == pytest.approx(0.2 / 3)


def test_one_seed_has_no_interval() -> None:
    runs = [run("natural", 0, code=3.0), run("proposed", 0, code=2.7)]

    found = measured_gain(runs, "proposed", {"code": 1.0})

    assert found["bpb"] == pytest.approx(0.3)
    assert found["low"] is None
    assert found["high"] is None
