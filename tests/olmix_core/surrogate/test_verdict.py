"""A gain is told as what its interval shows, and no more."""

import pytest

from olmix_core.surrogate.intervals import caution, verdict


@pytest.mark.parametrize(
    ("gain", "low", "high", "words"),
    [
        (0.2, 0.1, 0.3, "real"),
        (0.2, 0.0, 0.4, "within the noise: not to be relied on"),
        (0.2, -0.1, 0.5, "within the noise: not to be relied on"),
        (-0.2, -0.3, -0.1, "a loss"),
        (0.0, 0.0, 0.0, "the same mixture"),
        (1e-9, -0.1, 0.1, "the same mixture"),
    ],
)
def test_words(gain: float, low: float, high: float, words: str) -> None:
    told = {"bpb": gain, "low": low, "high": high}
    assert verdict(told) == words
    assert caution(told) == ("" if words == "real" else f"; {words}")
