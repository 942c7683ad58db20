import pytest

from olmix_core.formatting import amount, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")],
)
def test_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (4_500_000, "4.5M"), (2e9, "2B"), (1.234e12, "1.23T")],
)
def test_amount_is_short(tokens: float, text: str) -> None:
    assert amount(tokens) == text
