"""Tables in Markdown."""

import pytest

from olmix_core.report import markdown
from olmix_core.report.markdown import table


def test_a_table_escapes_what_would_end_a_cell() -> None:
    lines = table([{"domain": "a|b\nc", "n": 3}, {"domain": "d", "n": 4}])
    assert lines == ["| domain | n |", "|---|---:|", "| a\\|b c | 3 |", "| d | 4 |"]


def test_a_long_table_says_how_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MAX_ROWS", 2)
    assert table([{"n": k} for k in range(5)])[-3:] == ["| 1 |", "", "and 3 more"]
