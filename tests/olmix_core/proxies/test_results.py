"""Records of proxies: read as written, in the forms of earlier versions too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from olmix_core.proxies.results import CommandRun, ProxyRun, Training, load_run
from olmix_core.storage.layout import proxy_run_path
from olmix_core.storage.store import Store

KEY = "a" * 64
RUN = ProxyRun(
    key=KEY,
    mixture={"code": 1.0},
    recipe={"layers": 1},
    training=Training(
        tokens={"code": 1024},
        epochs={"code": 0.5},
        losses=((0, 6.5), (15, 4.25)),
        seconds=1.5,
        parameters=4096,
        device="cpu",
        resumed=2,
        compiled="not compiled: no compiler",
    ),
    torch="2.9",
)


def stored(folder: Path, record: dict[str, Any]) -> Store:
    store = Store(str(folder))
    store.write_json(proxy_run_path(KEY), record)
    return store


def test_runs_are_read_as_written(tmp_path: Path) -> None:
    command = CommandRun(KEY, {"code": 1.0}, {"trainer": "ours"}, {"arc": 1.25}, 60.0)
    assert load_run(Store(str(tmp_path)), KEY) is None
    assert load_run(stored(tmp_path, RUN.to_json()), KEY) == RUN
    assert load_run(stored(tmp_path, command.to_json()), KEY) == command


def test_runs_of_versions_that_neither_resumed_nor_compiled(tmp_path: Path) -> None:
    record = {name: value for name, value in RUN.to_json().items() if name not in ("resumed", "compiled")}
    run = load_run(stored(tmp_path, record), KEY)
    assert isinstance(run, ProxyRun)
    assert run.training == replace(RUN.training, resumed=0, compiled=False)


def test_a_damaged_run_counts_as_missing(tmp_path: Path) -> None:
    store = stored(tmp_path, RUN.to_json())
    (tmp_path / proxy_run_path(KEY)).write_text("{")
    assert load_run(store, KEY) is None
