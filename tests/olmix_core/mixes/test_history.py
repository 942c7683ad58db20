"""Looking back: history and differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmix_core.errors import StoreError
from olmix_core.mixes.history import differences, find_record, read_history
from olmix_core.storage.store import Store

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


def test_the_lineage_of_a_mix(run: Run, finished: Callable[..., Callable[..., Path]], tmp_path: Path) -> None:
    edit = finished()

    def change(config: dict[str, Any]) -> None:
        config["domains"].pop()
        config["domains"][0]["name"] = "renamed"
        config["evaluation"]["tasks"][0]["heldout"] = "renamed"
        config["proposal"] = {"kl": 0.5, "repetition": 1000}

    run(edit(change))
    store = Store(str(tmp_path / "store"))
    first, second = read_history(store, "test")
    assert (first.version, first.proxies, first.builds_on) == ("v0001", 6, None)
    assert (second.version, second.proxies, second.builds_on) == ("v0002", 0, "v0001")
    assert second.carried_over == 6
    assert second.change == {"renamed": 1, "removed": 1}
    assert second.full_recompute == 3 * (2 + 1)

    found = differences(find_record(store, "test@v0001"), find_record(store, "test"))
    leaves = {leaf.domain: leaf for leaf in found.leaves}
    assert leaves["renamed"].change == "was code"
    assert leaves["guide"].change == "only in a"
    assert leaves["guide"].b is None
    assert {setting.field for setting in found.settings} == {"proposal.kl", "proposal.repetition"}
    assert find_record(store, "v0001").version == "v0001"
    with pytest.raises(StoreError, match=r"no version 'v0009'; expected one of: v0001, v0002"):
        find_record(store, "test@v0009")
    with pytest.raises(StoreError, match=r"found no mix called 'other'; expected one of: test"):
        read_history(store, "other")
