import json
from pathlib import Path
from typing import Any

import pytest

from olmix_core.errors import DamageError
from olmix_core.storage.integrity import checksum
from olmix_core.storage.results import file_of, parse_result
from olmix_core.storage.store import Store

RESULT: dict[str, Any] = {"proxy": "abc", "files": {"a.csv": checksum(b"a"), "b.bin": None}}


def record(result: str, **serializer: Any) -> dict[str, Any]:
    return {"metadata": {"serializer": {"type": "json", **serializer}}, "result": result}


def test_result_in_plain_json_is_read() -> None:
    assert parse_result(record(json.dumps(RESULT)), "here") == RESULT
    assert parse_result(record("{}", jsonlib="json", object_decoder=None, loads_kwargs={}), "here") == {}


@pytest.mark.parametrize(
    "serializer",
    [{"type": "pickle"}, {"object_decoder": "os.system"}, {"jsonlib": "pickle"}, {"loads_kwargs": {"cls": "x.Y"}}],
)
def test_result_that_could_run_code_is_refused_unread(serializer: dict[str, Any]) -> None:
    with pytest.raises(DamageError, match=r"^here: found a result that asks to be read as something else than plain"):
        parse_result(record("no JSON at all", **serializer), "here")


@pytest.mark.parametrize(
    "broken",
    [None, [], {}, {"metadata": {}, "result": "{}"}, record("{"), record("[1]"), record('{"files": ["a"]}')],
)
def test_other_json_is_damage(broken: Any) -> None:
    with pytest.raises(DamageError, match="here: found no result of a step"):
        parse_result(broken, "here")
    with pytest.raises(DamageError, match="here: found files without their checksums"):
        parse_result(record('{"files": {"a.csv": 1}}'), "here")


def test_file_of_reads_only_files_that_the_result_names(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("a.csv", "b.bin", "c"):
        store.write_bytes(name, name[:1].encode())
    assert file_of(store, RESULT["files"], "a.csv") == b"a"
    assert file_of(store, RESULT["files"], "b.bin") == b"b"
    with pytest.raises(DamageError, match=r"/c: found no word of it in the result that should name it"):
        file_of(store, RESULT["files"], "c")
    store.write_bytes("a.csv", b"b")
    with pytest.raises(DamageError, match="another content"):
        file_of(store, RESULT["files"], "a.csv")
