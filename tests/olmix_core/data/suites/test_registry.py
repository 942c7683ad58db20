from pathlib import Path

import pytest

from olmix_core.data.suites import SUITES, Suite, get_suite
from olmix_core.errors import DataError

DOCS = Path(__file__).parents[4] / "docs" / "evaluation.md"


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_suite_and_its_list_are_documented(suite: Suite) -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{suite.name}` |")]
    assert len(rows) == 1
    assert f"`{suite.main_list}`" in rows[0]


def test_an_unknown_suite_is_named_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"found 'x'; expected one of: olmes \(the paper's 52 tasks, and gsm8k\)"):
        get_suite("x")
