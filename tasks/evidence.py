"""Step `evidence`: one per set of evaluated proxies. Key: what the rows say."""

from typing import Any

from olmix_core.evidence import Row, write_rows
from olmix_core.store import Store
from tasks.step import Payload, Result, step


@step("evidence", code_version=1)
def evidence(payload: Payload, store: str, *, rows: list[dict[str, Any]]) -> Result:
    """Put the rows on record."""
    return {"evidence": write_rows(Store(store), [Row(**row) for row in rows])}
