import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmix_core.errors import StoreError
from olmix_core.storage.integrity import save_tensors
from olmix_core.storage.store import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The same code on a folder and on a store that is none (fsspec's in memory)."""
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def test_written_files_are_read_back(store: Store) -> None:
    store.write_json("a/b.json", {"x": [1, 2.5, None]})
    assert store.read_json("a/b.json") == {"x": [1, 2.5, None]}
    assert store.list("a") == ["b.json"]
    assert store.list("nothing") == []
    assert store.local_copy("a/b.json").read_bytes() == store.read_bytes("a/b.json")


def test_new_file_appears_whole_or_not_at_all(store: Store) -> None:
    def fail() -> None:
        with store.new_file("a/b") as path:
            path.write_bytes(b"half")
            assert not store.exists("a/b")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not store.exists("a/b")
    assert store.list("a") == []
    with store.new_file("a/b") as path:
        path.write_bytes(b"whole")
    assert store.read_bytes("a/b") == b"whole"


@pytest.mark.parametrize("fill", ["bytes", "tokens", "tensors", "parquet"])
def test_full_disk_is_reported_with_a_remedy(store: Store, fill: str) -> None:
    """A limit on the size of files stands for it, which any user may set."""
    array = np.zeros(1 << 20, np.uint8)
    fillers: dict[str, Callable[[Path], object]] = {
        "bytes": lambda path: path.write_bytes(array.tobytes()),
        "tokens": lambda path: array.tofile(path),
        "tensors": lambda path: save_tensors({"weights": array}, path),
        "parquet": lambda path: pq.write_table(pa.table({"x": np.random.default_rng(0).random(1 << 18)}), path),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(StoreError, match=r"a/b: cannot be written: "), store.new_file("a/b") as path:
            fillers[fill](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(store.files()) == []


def test_error_of_another_file_is_not_reported_as_one_of_the_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="input"), store.new_file("a/b"):
        (tmp_path / "input").read_bytes()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", ""])
def test_path_out_of_the_store_is_refused(store: Store, path: str) -> None:
    with pytest.raises(StoreError, match="not a path inside"):
        store.write_bytes(path, b"")


def test_nan_is_not_written(store: Store) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.write_json("a.json", {"x": float("nan")})


def test_damaged_json_is_reported_with_its_path(store: Store) -> None:
    store.write_bytes("a.json", b"{")
    with pytest.raises(StoreError, match=r"a\.json: found no JSON .* is not used"):
        store.read_json("a.json")


def test_preflight_names_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(str(tmp_path / "file")).preflight()
    Store(str(tmp_path / "new")).preflight()


def test_permissions_of_new_files_follow_the_umask(tmp_path: Path) -> None:
    Store(str(tmp_path)).write_bytes("a", b"")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask
