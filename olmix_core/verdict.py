"""What the interval of a gain says of it, in the words that every view uses."""

from collections.abc import Mapping

REAL = "real"
_SAME = 1e-6  # BPB; solvers agree no better


def verdict(gain: Mapping[str, float]) -> str:
    """Of a gain {bpb, low, high} in BPB: REAL where its interval lies above 0."""
    if abs(gain["bpb"]) < _SAME:
        return "the same mixture"
    if gain["low"] > 0:
        return REAL
    return "a loss" if gain["high"] < 0 else "within the noise: not to be relied on"


def caution(gain: Mapping[str, float]) -> str:
    """What to put behind a gain: nothing where it is REAL, else the verdict."""
    words = verdict(gain)
    return "" if words == REAL else f"; {words}"
