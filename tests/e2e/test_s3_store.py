"""Inputs and store on a real S3 server that checks signatures."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.errors import StoreError
from olmix_core.evidence import ledger
from olmix_core.storage import s3 as s3fs
from olmix_core.storage.conditional_writes import advance, create_exclusive, supports_if_match, supports_if_none_match
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.listing import expand
from olmix_core.storage.store import Store
from tests.support import s3_server
from tests.support.faults import faulty

if TYPE_CHECKING:
    from tests.support.s3_server import S3Server

pytestmark = pytest.mark.e2e

REFUSED: dict[str, tuple[dict[str, str | None], str]] = {
    "another secret": ({"AWS_SECRET_ACCESS_KEY": "0123456789"}, "refuses this key or secret: check AWS_ACCESS_KEY_ID"),
    "another key": ({"AWS_ACCESS_KEY_ID": "lab:nobody"}, "refuses this key or secret: check AWS_ACCESS_KEY_ID"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": None}, "no credentials for"),
    "a reader": ({"AWS_ACCESS_KEY_ID": s3_server.READER}, "access to the bucket '.*' is denied"),
    "a dead endpoint": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_store_that_cannot_be_used_is_told_in_one_message(
    case: str, s3: "S3Server", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, words = REFUSED[case]
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as caught:
        Store(f"s3://{bucket}/store").preflight()
    assert s3.secret not in str(caught.value)
    if case != "no credentials":
        assert "0123456789" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3: "S3Server") -> None:
    with pytest.raises(StoreError, match="there is no bucket 'nowhere' at http"):
        Store("s3://nowhere/store").preflight()
    with pytest.raises(StoreError, match="there is no bucket 'nowhere' at http"):
        Store("s3://nowhere/store").list("mixes")
    with pytest.raises(OSError, match="there is no bucket 'nowhere' at http"):
        expand("s3://nowhere/*.jsonl")


NAMES = ("a/x.txt", "a/y.jsonl", "a/.hidden/z.txt", "a/b/f.txt", "a/b/c/h.txt", "a/[x].txt", "a2/x.txt", "a/LICENSE")
PATTERNS: tuple[str, ...] = (
    "a",
    "a/",
    "a/*.txt",
    "a/**",
    "a/*/f.txt",
    "a/**/h.txt",
    "a/x.txt",
    "a/[x].txt",
    "a*/x.txt",
)
PATTERNS += ("a/.hidden/*", "*/*.txt", "a/LIC*", "none/**", "a/?.txt", "a/b*/**/*.txt")


def test_paths_folders_and_globs_find_what_they_find_on_a_disk(bucket: str, tmp_path: Path) -> None:
    fs = s3fs.filesystem()
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        fs.pipe_file(f"{bucket}/{name}", name.encode())
    for marker in ("a/b/", "a/b", "a"):  # what some tools leave for a folder
        fs.pipe_file(f"{bucket}/{marker}", b"")
    index = ContentIndex(tmp_path / "cache")
    for pattern in PATTERNS:
        here, there = expand(f"{tmp_path}/{pattern}"), expand(f"s3://{bucket}/{pattern}")
        assert [one.url.removeprefix(f"file://{tmp_path}") for one in here] == [
            one.url.removeprefix(f"s3://{bucket}") for one in there
        ], pattern
        assert [index.hash(one) for one in here] == [index.hash(one) for one in there]


def test_content_is_known_from_the_listing_alone(s3: "S3Server", bucket: str, tmp_path: Path) -> None:
    fs = s3fs.filesystem()
    for number in range(30):
        fs.pipe_file(f"{bucket}/data/{number}.txt", f"text {number}".encode())
    s3.requests()
    index = ContentIndex(tmp_path)
    found = [index.hash(one) for one in expand(f"s3://{bucket}/data/*.txt")]
    assert (hashlib.md5(b"text 7").hexdigest(), 6) in found
    asked = s3.requests()
    assert len(found) == 30
    assert [one for one in asked if "list-type=2" not in one.path] == []
    assert len(asked) == 2


def test_an_object_uploaded_in_parts_has_an_identity_of_its_own(bucket: str, tmp_path: Path) -> None:
    fs, content = s3fs.filesystem(), bytes(11 << 20) + b"end"
    fs.pipe_file(f"{bucket}/whole.bin", content)
    fs.pipe_file(f"{bucket}/parts.bin", content, chunksize=5 << 20)
    index = ContentIndex(tmp_path)
    whole, parts = (index.hash(f"s3://{bucket}/{name}.bin") for name in ("whole", "parts"))
    assert whole == (hashlib.md5(content).hexdigest(), len(content))
    assert parts[0].endswith("-3")
    assert parts == index.hash(expand(f"s3://{bucket}/parts*")[0])


def test_statistics_read_every_byte_once(s3: "S3Server", bucket: str, tmp_path: Path) -> None:
    fs, random = s3fs.filesystem(), np.random.default_rng(0)
    lines = [json.dumps({"text": " ".join(map(str, random.integers(0, 1 << 30, 2000)))}) for _ in range(1500)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))  # several blocks long
    column = pa.table(
        {"text": [json.loads(line)["text"] for line in lines], "other": [random.bytes(9000) for _ in lines]}
    )
    pq.write_table(column, tmp_path / "b.parquet", row_group_size=200, compression="none")
    (tmp_path / "c.txt").write_text(lines[0])
    sizes = {}
    for name in ("a.jsonl", "b.parquet", "c.txt"):
        fs.put_file(str(tmp_path / name), f"{bucket}/{name}")
        sizes[name] = (tmp_path / name).stat().st_size
    s3.requests()
    files = [
        InputFile(f"s3://{bucket}/a.jsonl", ".jsonl text"),
        InputFile(f"s3://{bucket}/b.parquet", ".parquet text"),
        InputFile(f"s3://{bucket}/c.txt", "text"),
    ]
    here = [InputFile(str(tmp_path / file.url.rpartition("/")[2]), file.reader) for file in files]
    store = Store(str(tmp_path / "store"))
    found = tokenise(files, byte_tokenizer(), store, "s3")
    asked = s3.requests()
    read = {name: [one for one in asked if one.method == "GET" and one.path == f"/{bucket}/{name}"] for name in sizes}
    assert sum(one.size for one in read["a.jsonl"]) == sizes["a.jsonl"]
    assert sum(one.size for one in read["c.txt"]) == sizes["c.txt"]
    # Of a table, the column and the index at its end; the other column is half of it.
    assert sum(one.size for one in read["b.parquet"]) < 0.7 * sizes["b.parquet"]
    assert len(read["a.jsonl"]) <= sizes["a.jsonl"] // (8 << 20) + 1
    assert found == tokenise(here, byte_tokenizer(), store, "here")


def test_answers_are_never_old(s3: "S3Server", bucket: str) -> None:
    mine = Store(f"s3://{bucket}/store")
    assert mine.list("evidence") == []
    assert not mine.exists("evidence/a")
    others = (
        "import sys; from olmix_core.storage.store import Store; store = Store(sys.argv[1])\n"
        "store.write_bytes('evidence/a', b'1'); store.write_bytes('mixes/m/latest.json', sys.argv[2].encode())"
    )
    for value in ("1", "2"):
        subprocess.run([sys.executable, "-c", others, mine.url, value], check=True)
        assert mine.list("evidence") == ["a"]
        assert mine.exists("evidence/a")
        assert mine.read_bytes("mixes/m/latest.json") == value.encode()
    remove = others.replace("write_bytes('evidence/a', b'1')", "remove('evidence/a')")
    subprocess.run([sys.executable, "-c", remove, mine.url, "3"], check=True)
    assert not mine.exists("evidence/a")
    assert ledger.read(mine).num_rows == 0


FATES = {"the connection is reset": "reset", "the server asks to slow down": "slow down"}


@pytest.mark.parametrize("case", FATES)
def test_what_is_transient_is_tried_again(
    case: str, s3: "S3Server", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fate(number: int, method: str, path: str) -> str:
        return FATES[case] if number % 4 < 2 else "pass"

    with faulty(s3.endpoint, fate) as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        store = Store(f"s3://{bucket}/store")
        store.write_bytes("a", b"content")
        assert store.read_bytes("a") == b"content"
        assert store.exists("a")
        assert store.list("folder") == []
    assert sum(one.endswith(FATES[case]) for one in seen) >= 6


def test_what_is_not_transient_is_asked_once(s3: "S3Server", bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(s3.endpoint, lambda *_: "pass") as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "0123456789")
        with pytest.raises(StoreError, match="refuses this key or secret"):
            Store(f"s3://{bucket}/store").write_bytes("a", b"")
    assert len(seen) == 1


CLAIM = """
import sys, time
from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.store import Store
store, number = Store(sys.argv[1]), int(sys.argv[2])
store.exists("x")
print("ready", flush=True)
sys.stdin.readline()
print(create_exclusive(store, "claim", b"%d" % number), flush=True)
for step in range(3):
    mine = 10 * step + number
    advance(store, "pointer", b"%d" % mine, lambda current: int(current) < mine)
"""


def test_of_many_writers_one_gets_the_name_and_the_pointer_ends_at_the_newest(bucket: str) -> None:
    store = Store(f"s3://{bucket}/store")
    assert supports_if_none_match(store)
    assert not supports_if_match(store)  # this server
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, store.url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    answers = [writer.communicate("\n", timeout=120)[0].strip() for writer in writers]
    assert sorted(answers) == ["False", "False", "False", "True"]
    assert store.read_bytes("claim") == str(answers.index("True")).encode()
    assert store.read_bytes("pointer") == b"23"


@pytest.fixture
def moto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with s3_server.moto(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        s3fs.filesystem().call_s3("create_bucket", Bucket="bucket")
        yield


@pytest.mark.usefixtures("moto")
def test_where_the_server_can_a_pointer_that_changed_meanwhile_is_not_overwritten() -> None:
    store, puts = Store("s3://bucket/store"), list[Any]()

    def older(current: bytes) -> bool:
        if not puts:
            puts.append(current)
            store.write_bytes("pointer", b"3")  # by another, between our reading and our writing
        return int(current) < 2

    assert supports_if_none_match(store)
    assert supports_if_match(store)
    advance(store, "pointer", b"1", lambda current: True)
    advance(store, "pointer", b"2", older)
    assert puts == [b"1"]
    assert store.read_bytes("pointer") == b"3"
    assert create_exclusive(store, "claim", b"a")
    assert not create_exclusive(store, "claim", b"b")
