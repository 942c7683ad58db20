"""A store whose files and seals were edited by somebody with write access.

No code runs, nothing outside the store is written, and labels stay text. Compressed inputs are tested in
tests/olmix_core/data/test_documents.py.
"""

import base64
import json
import os
import pickle
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from flows.cli.app import app
from olmix_core.errors import OlmixError
from olmix_core.evidence import ledger_files
from olmix_core.mixes.audit import check
from olmix_core.storage.integrity import checksum, seal, unseal
from olmix_core.storage.store import Store
from tests.support.store_files import first_file

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Change = Callable[[dict[str, Any]], object]
TAG = "<img src=x onerror=alert(1)>"


def edit(path: Path, change: Change) -> None:
    """Change a sealed file as somebody would who knows how it is sealed."""
    value = unseal(path.read_bytes(), "")
    change(value)
    path.write_bytes(seal(value))


class Payload:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def payload(tmp_path: Path) -> Iterator[bytes]:
    ran = tmp_path / "ran"
    content = pickle.dumps(Payload(ran))
    pickle.loads(content)
    ran.rmdir()  # it is one that works
    yield content
    assert not ran.exists()


def try_everything(config: Path, store: Store, run: Run) -> bool:
    """Read the store in all ways there are; whether a run still ends."""
    for command in ("show", "history", "plan", "why"):
        about = [str(config)] if command in ("plan", "why") else ["--store", store.url]
        done = CliRunner().invoke(app, [command, *about])
        assert done.exception is None or isinstance(done.exception, OlmixError | SystemExit), command
    check(store)
    try:
        run(config)
    except OlmixError:
        return False
    return True


SERIALIZERS: tuple[dict[str, Any], ...] = (
    {"type": "pickle"},
    {"type": "compressed/pickle"},
    {"type": "json", "object_decoder": "pickle.loads"},
    {"type": "json", "jsonlib": "pickle"},
)


def test_a_result_cannot_ask_to_be_loaded_as_code(run_flow: Run, config: Path, store: Store, payload: bytes) -> None:
    results = [
        path
        for path in sorted(Path(store.root).glob("cache/*/*.json"))
        if not path.name.endswith(".payload.json") and path.parent.name != "jobs"
    ]
    assert len(results) > len(SERIALIZERS)
    for path, serializer in zip(results, cycle(SERIALIZERS), strict=False):

        def ask(result: dict[str, Any], serializer: dict[str, Any] = serializer) -> None:
            result["metadata"]["serializer"] = serializer
            result["result"] = base64.b64encode(payload).decode()

        edit(path, ask)
    assert try_everything(config, store, run_flow)


@pytest.mark.parametrize(
    "pattern",
    [
        "proxies/*/model.safetensors",
        "cache/tokens/*/tokens.bin",
        "cache/tokens/*/passages.safetensors",
        "cache/surrogates/*/runs.parquet",
        "evidence/sets/*.parquet",
        "mixes/test/v0001/mix.json",
        "mixes/test/latest.json",
        "tokenizers/*.json",
    ],
)
def test_a_pickle_in_place_of_a_file_is_damage(
    pattern: str, run: Run, config: Path, store: Store, payload: bytes
) -> None:
    path = first_file(store, pattern)
    path.write_bytes(payload)
    assert path.relative_to(store.root).as_posix() in {finding.path for finding in check(store) if finding.is_harm}
    try_everything(config, store, run)


def test_a_pickle_in_the_ledger_is_refused(run: Run, config: Path, store: Store, payload: bytes) -> None:
    """Under a name that its checksum is right in."""
    name = f"{'0' * 64}-{checksum(payload)[: ledger_files.CHECKED]}"
    store.write_bytes(f"evidence/{name}.parquet", payload)
    assert not try_everything(config, store, run)


# What is edited, how, and so that it names the folder `outside` beside the store.
WAYS_OUT: dict[str, tuple[str, Change]] = {
    "the latest version": ("mixes/test/latest.json", lambda v: v.update(version="../../../outside")),
    "a parent": ("mixes/test/v0001/mix.json", lambda v: v.update(parent="../../../outside")),
    "files of a version": (
        "mixes/test/v0001/mix.json",
        lambda v: v["files"].update({"../../../../outside/x.json": "0" * 64}),
    ),
    "a tokenizer": ("mixes/test/v0001/mix.json", lambda v: v["tokenizer"].update(fingerprint="../../outside/x")),
    "a name": ("mixes/test/v0001/mix.json", lambda v: v.update(name="../../outside")),
    "files of a result": (
        "cache/fit/*.json",
        lambda v: _result(v, lambda r: r["files"].update({"../outside/x.json": None})),
    ),
    "a proxy": ("cache/train/*.json", lambda v: _result(v, lambda r: r.update(proxy="../../outside"))),
    "a law": ("cache/fit/*.json", lambda v: _result(v, lambda r: r.update(fit="../../../outside"))),
    "a set of evidence": (
        "cache/evidence/*.json",
        lambda v: _result(v, lambda r: r.update(evidence="../../../outside/x")),
    ),
}


def _result(stored: dict[str, Any], change: Change) -> None:
    result = json.loads(stored["result"])
    change(result)
    stored["result"] = json.dumps(result)


@pytest.mark.parametrize("what", WAYS_OUT)
def test_no_name_in_the_store_leads_out_of_it(what: str, run: Run, config: Path, store: Store) -> None:
    pattern, change = WAYS_OUT[what]
    outside = config.parent / "outside"
    outside.mkdir()
    (outside / "x.json").write_bytes(seal({"version": "v0001"}))
    edit(first_file(store, pattern), change)
    around = {path for path in config.parent.rglob("*") if not path.is_relative_to(store.root)}
    try_everything(config, store, run)
    CliRunner().invoke(app, ["store", "check", "--repair", "--store", store.url])
    CliRunner().invoke(app, ["store", "gc", "--days", "0", "--delete", "--store", store.url])
    assert {path for path in config.parent.rglob("*") if not path.is_relative_to(store.root)} == around
    assert unseal((outside / "x.json").read_bytes(), "") == {"version": "v0001"}


def test_labels_are_text_wherever_they_are_shown(
    run_flow: Run, project: Callable[..., Path], texts: dict[str, list[str]], tmp_path: Path
) -> None:
    names = dict(zip(texts, (TAG, "[b](c)|d", "<b>bold<b>"), strict=True))
    config = project(
        name="labels",
        domains=[{"name": names[kind], "paths": f"{kind}.jsonl"} for kind in texts],
        evaluation={"tasks": [{"heldout": TAG}]},
    )
    record, _ = run_flow(config)
    store = Store(str(tmp_path / "store"))
    page = store.read_bytes(f"mixes/labels/{record['version']}/report.html").decode()
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "<b>bold" not in page
    with get_client(sync_client=True) as client:
        shown = [one for one in client.read_artifacts() if (one.key or "").endswith("-labels")]
    assert any("&lt;img src=x" in str(one.data) for one in shown)
    for mark in ("<img", "<b>", " [b](c)"):
        assert not any(mark in str(one.data) for one in shown), mark
