"""Audits read the store itself, not what this machine has copied of it."""

from pathlib import Path

import pytest

from olmix_core.evidence.ledger import append, read
from olmix_core.mixes.audit import check
from olmix_core.storage.store import Store
from tests.support.evidence_rows import row


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_check_reads_the_store_and_not_local_copies(kind: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store") if kind == "local" else f"memory://{tmp_path.name}")
    path = f"evidence/{append(store, [row(1)])}.parquet"
    assert len(read(store)) == 1  # a store elsewhere now has a copy here
    assert not [one for one in check(store) if one.path == path]
    store.write_bytes(path, b"PAR1")
    [finding] = [one for one in check(store) if one.path == path]
    assert finding.kind == "damaged"
    assert "found another content than was written" in finding.what
