"""A store is checked, mended and tidied, and no damage changes a mixture."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from olmix_core.errors import DamageError
from olmix_core.mixes.audit import check, repair
from olmix_core.mixes.gc import garbage
from olmix_core.mixes.versions import read_mix
from olmix_core.storage.integrity import unseal
from olmix_core.storage.store import Store
from tests.support.properties import tries
from tests.support.store_files import first_file

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
NOT_READ = ("report.html", ".preflight", ".lock")  # by anything but a browser


def damage(path: Path, random_byte: random.Random | None = None) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    draws = random_byte or random.Random(0)
    content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
    path.write_bytes(bytes(content))


def is_harmless(damaged: Path, before: bytes) -> bool:
    """Whether the file still says what it said: white space of JSON and parts of a parquet footer say nothing."""
    if damaged.parent.name == "sets":
        return pq.read_table(damaged).equals(pq.read_table(pa.BufferReader(before)))
    if damaged.suffix != ".json":
        return False
    try:
        return unseal(damaged.read_bytes(), "") == unseal(before, "")
    except DamageError:
        return False


def test_a_store_after_a_run_is_whole(store: Store) -> None:
    assert check(store) == []
    assert garbage(store, days=0) == {}
    result = CliRunner().invoke(app, ["store", "check", "--store", store.url])
    assert result.exit_code == 0
    assert "is whole" in result.output


@pytest.mark.scaled
def test_every_flipped_bit_is_found_or_harmless(store: Store) -> None:
    files = [path for path in sorted(Path(store.root).rglob("*")) if path.is_file() and path.name not in NOT_READ]
    draws = random.Random(1)
    for path in draws.choices(files, k=tries(60, 200)):
        before = path.read_bytes()
        damage(path, draws)
        found = [finding for finding in check(store) if finding.is_harm]
        assert found or is_harmless(path, before), path
        if found:
            assert path.relative_to(store.root).as_posix() in {finding.path for finding in found}
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("pattern", "again"),
    [
        ("cache/train/*[0-9a-f].json", {"train": 1}),
        ("cache/surrogates/*/runs.parquet", {"fit": 1}),
        ("cache/surrogates/*/surrogate.json", {"fit": 1}),
        ("cache/proposals/*/trade_offs.csv", {"propose": 1}),
        ("tokenizers/*.json", {"tokenizer": 1}),
        ("cache/tokens/*/tokens.bin", {"statistics": 1}),
        ("proxies/*/model.safetensors", {"train": 1}),
        ("proxies/*/run.json", {"train": 1}),
    ],
)
def test_what_is_damaged_is_made_anew_and_the_mixture_stays(
    pattern: str, again: dict[str, int], run: Run, config: Path, store: Store
) -> None:
    before = read_mix(store, "test")
    damage(first_file(store, pattern))
    assert repair(store, check(store)) == []
    after, executed = run(config)
    executed.pop("publish")
    assert executed == again
    assert after["weights"] == before.weights
    assert [finding for finding in check(store) if finding.is_harm] == []


def test_damage_heals_by_itself_where_a_step_can_see_it(run_flow: Run, config: Path, store: Store) -> None:
    before = read_mix(store, "test")
    for pattern in ("cache/fit/*[0-9a-f].json", "cache/surrogates/*/diagnostics.csv", "proxies/*/run.json"):
        damage(first_file(store, pattern))
    shutil.rmtree(first_file(store, "cache/tokens/*"))  # deleted in part
    after, executed = run_flow(config)
    assert executed == {"statistics": 1, "train": 1, "fit": 1, "publish": 1}
    assert after["weights"] == before.weights


def test_damage_to_the_record_is_named_and_not_used(run: Run, config: Path, store: Store) -> None:
    damaged = first_file(store, "mixes/test/v0001/mix.json")
    damage(damaged)
    with pytest.raises(DamageError, match=r"mixes/test/v0001/mix\.json: found "):
        run(config)
    [finding] = [finding for finding in repair(store, check(store)) if finding.is_harm]
    assert (finding.path, finding.kind, finding.remedy) == ("mixes/test/v0001/mix.json", "damaged", "none")
    result = CliRunner().invoke(app, ["store", "check", "--store", store.url, "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)[0]["kind"] == "damaged"


@pytest.mark.parametrize(
    ("gone", "found"),
    [
        ("proxies/*/model.safetensors", ("model.safetensors", "missing", "run again")),
        ("proxies/*/run.json", ("model.safetensors", "unfinished", "run again")),
        ("cache/tokens/*/passages.safetensors", ("tokens.bin", "unfinished", "run again")),
        ("cache/surrogates/*/surrogate.json", ("surrogate.json", "missing", "run again")),
        ("cache/fit/*[0-9a-f].json", ("surrogate.json", "orphan", "collect")),
        ("cache/fit/*[0-9a-f].json", (".payload.json", "orphan", "collect")),
        ("tokenizers/*.json", (".json", "missing", "run again")),
        ("mixes/test/v0001/mix.csv", ("mix.csv", "missing", "none")),
        ("mixes/test/v0001/mix.json", ("mix.csv", "unfinished", "none")),
        ("evidence/*.parquet", ("mix.json", "missing", "none")),
        ("evidence/sets/*.parquet", ("mix.json", "missing", "none")),
    ],
)
def test_what_is_gone_is_told_with_what_to_do(gone: str, found: tuple[str, str, str], store: Store) -> None:
    first_file(store, gone).unlink()
    end, *how = found
    assert how in [[finding.kind, finding.remedy] for finding in check(store) if finding.path.endswith(end)]


def test_what_does_not_belong_is_told(store: Store) -> None:
    store.write_bytes("notes.txt", b"mine")
    store.write_bytes("cache/.new-abc", b"half")
    record = store.read_json("mixes/test/v0001/mix.json")
    store.write_json("mixes/test/v0001/mix.json", {**record, "parent": "v0000"})
    assert {(finding.path, finding.kind) for finding in check(store)} == {
        ("notes.txt", "unknown"),
        ("cache/.new-abc", "unfinished"),
        ("mixes/test/v0001/mix.json", "missing"),
    }


def test_what_points_to_the_latest_version_is_rebuilt(store: Store) -> None:
    path = first_file(store, "mixes/test/latest.json")
    for content in (b"", b"{}", b'{"version": "v0009"}'):
        path.write_bytes(content)
        [finding] = check(store)
        assert finding.remedy == "rebuild"
        assert repair(store, [finding]) == []
        assert store.read_json("mixes/test/latest.json") == {"version": "v0001"}


def test_what_nothing_refers_to_is_listed_then_removed(run: Run, config: Path, store: Store) -> None:
    text = config.read_text()
    config.write_text(text.replace("runs: 6", "runs: 7"))
    run(config)
    assert garbage(store, days=0) == {}
    # As if that run had been stopped before it published.
    shutil.rmtree(first_file(store, "mixes/test/v0002"))
    repair(store, check(store))
    assert garbage(store, days=1) == {}  # it may go on
    assert any(path.startswith("cache/fit/") for path in garbage(store, days=0))
    assert not any(path.startswith("proxies/") for path in garbage(store, days=0))  # the ledger speaks of them
    (Path(store.root) / "cache" / ".new-x").write_text("half")
    listed = CliRunner().invoke(app, ["store", "gc", "--store", store.url, "--days", "0"])
    assert "can go" in listed.output
    assert (Path(store.root) / "cache" / ".new-x").exists()
    CliRunner().invoke(app, ["store", "gc", "--store", store.url, "--days", "0", "--delete"])
    assert garbage(store, days=0) == {}
    config.write_text(text)
    assert run(config)[1] == {"publish": 1}
