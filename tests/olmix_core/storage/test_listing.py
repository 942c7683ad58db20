"""Links are followed and loops are not; markers of folders on S3 are no files."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from olmix_core.serialization import JsonObject
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.listing import ListedFile, expand, list_below


def names(folder: Path, pattern: str) -> list[str]:
    return [file.url.removeprefix(f"file://{folder}/") for file in expand(f"{folder}/{pattern}")]


def write(path: Path, text: str = "text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder of links to blobs, as Hugging Face's cache, git-annex and DVC make them."""
    for name in "abc":
        write(tmp_path / "blobs" / name, f"text {name}")
    data = tmp_path / "snapshot" / "data"
    (data / "deep").mkdir(parents=True)
    (data / "a.jsonl").symlink_to("../../blobs/a")
    (data / "deep" / "b.txt").symlink_to(tmp_path / "blobs" / "b")
    (data / "linked.txt").symlink_to("deep/b.txt")
    (tmp_path / "again").symlink_to("snapshot")
    return tmp_path


@pytest.mark.parametrize("root", ["snapshot", "again"])
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["data/a.jsonl", "data/deep/b.txt", "data/linked.txt"]),
        ("/**", ["data/a.jsonl", "data/deep/b.txt", "data/linked.txt"]),
        ("/**/*.txt", ["data/deep/b.txt", "data/linked.txt"]),
        ("/data/*.jsonl", ["data/a.jsonl"]),
        ("/*/?.jsonl", ["data/a.jsonl"]),
        ("/data/a.jsonl", ["data/a.jsonl"]),
    ],
)
def test_links_are_followed_under_their_own_names(root: str, pattern: str, expected: list[str], cache: Path) -> None:
    assert names(cache, f"{root}{pattern}") == [f"{root}/{name}" for name in expected]
    assert [file.size for file in expand(f"{cache}/{root}{pattern}")] == [6] * len(expected)
    real = {file.real for file in expand(f"{cache}/{root}{pattern}")}
    assert real <= {os.path.realpath(cache / "blobs" / name) for name in "ab"}


def test_links_to_folders_are_followed_at_every_level(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "part" / "x.txt")
    write(tmp_path / "data" / "own.txt")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "2.d").symlink_to("../elsewhere/part")
    assert names(tmp_path, "data/*/*.txt") == ["data/2.d/x.txt"]
    assert names(tmp_path, "data/linked/*/x.txt") == ["data/linked/part/x.txt"]
    assert names(tmp_path, "data/**/part/*.txt") == ["data/linked/part/x.txt"]
    # One folder under two names is one folder.
    assert len(names(tmp_path, "data")) == 2


def test_a_real_folder_comes_before_links_to_it(tmp_path: Path) -> None:
    write(tmp_path / "data" / "z" / "x.txt")
    (tmp_path / "data" / "a").symlink_to("z")
    assert names(tmp_path, "data") == names(tmp_path, "data/**/*.txt") == ["data/z/x.txt"]


@pytest.mark.timeout(20)
def test_loops_end(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a" / "x.txt")
    for name, target in (("self", "."), ("up", ".."), ("data", "../../data"), ("root", "/"), ("a", "../a")):
        (tmp_path / "data" / "a" / name).symlink_to(target)
    (tmp_path / "data" / "b").mkdir()
    (tmp_path / "data" / "b" / "to-c").symlink_to("../c")
    (tmp_path / "data" / "c").mkdir()
    (tmp_path / "data" / "c" / "to-b").symlink_to("../b")
    write(tmp_path / "data" / "c" / "y.txt")
    assert names(tmp_path, "data") == ["data/a/x.txt", "data/c/y.txt"]
    assert names(tmp_path, "data/**/*.txt") == ["data/a/x.txt", "data/c/y.txt"]
    assert names(tmp_path, "data/*/*.txt") == ["data/a/x.txt", "data/c/y.txt"]
    assert names(tmp_path, "data/**/to-c/*.txt") == ["data/b/to-c/y.txt"]


@pytest.mark.timeout(20)
def test_folders_that_link_to_each_other_twice_are_looked_at_once(tmp_path: Path) -> None:
    for number in range(40):  # 2^40 ways to the last
        (tmp_path / "data" / f"{number:02d}").mkdir(parents=True)
        for name in ("left", "right"):
            (tmp_path / "data" / f"{number:02d}" / name).symlink_to(f"../{number + 1:02d}")
    write(tmp_path / "data" / "40" / "x.txt")
    assert names(tmp_path, "data") == ["data/40/x.txt"]
    assert names(tmp_path, "data/**/*.txt") == ["data/40/x.txt"]


def test_a_link_that_leads_nowhere_is_listed_as_such(tmp_path: Path) -> None:
    write(tmp_path / "data" / "x.txt")
    (tmp_path / "data" / "gone.txt").symlink_to("../.git/annex/objects/a")
    (tmp_path / "data" / "folder").symlink_to("../gone")
    (tmp_path / "data" / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "data" / ".hidden").symlink_to("gone")
    for pattern in ("data", "data/**", "data/*"):
        leads = {file.url.rpartition("/")[2]: file.leads_to for file in expand(f"{tmp_path}/{pattern}")}
        assert leads == {
            "x.txt": None, "gone.txt": "../.git/annex/objects/a", "folder": "../gone", "loop.txt": "loop.txt",
        }  # fmt: skip
    # The folder may hold such files.
    assert names(tmp_path, "data/**/*.txt") == ["data/folder", "data/gone.txt", "data/loop.txt", "data/x.txt"]
    [gone] = expand(f"{tmp_path}/data/gone.txt")
    assert (gone.is_named, gone.leads_to) == (True, "../.git/annex/objects/a")


def test_globs_match_what_the_globs_of_fsspec_match(tmp_path: Path) -> None:
    draw = random.Random(0)
    parts = ["a", "b", "ab", "x.txt", "y.jsonl", "[z].txt", "a b"]
    for _ in range(60):
        path = tmp_path.joinpath("data", *draw.choices(parts[:3], k=draw.randint(0, 3)), draw.choice(parts[3:]))
        write(path)
    globs = ["*", "**", "a*", "?", "[ab]", "x.txt", "*.txt", "a", "[[]z].txt", "*.j*"]
    for _ in range(200):
        pattern = f"{tmp_path}/data/{'/'.join(draw.choices(globs, k=draw.randint(1, 4)))}"
        if Path(pattern).exists():
            continue  # a file or folder of this name, not a glob
        fs = LocalFileSystem()
        expected = sorted(name for name, info in fs.glob(pattern, detail=True).items() if info["type"] == "file")
        assert [file.url.removeprefix("file://") for file in expand(pattern)] == expected, pattern


def test_the_files_below_a_folder_of_any_name(tmp_path: Path) -> None:
    for name in ("a::b", "s3:", "#x", "[y]*"):
        write(tmp_path / name / "x.txt")
        [file] = list_below(tmp_path / name)
        assert file.real == os.path.realpath(tmp_path / name / "x.txt")


def test_the_hash_of_a_link_follows_what_it_leads_to(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, name)
        os.utime(tmp_path / name, (1, 1))  # the same size and time
    index = ContentIndex(tmp_path / "index")
    (tmp_path / "link").symlink_to("a")
    first = index.hash(str(tmp_path / "link"))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    assert index.hash(str(tmp_path / "link")) == index.hash(str(tmp_path / "b")) != first
    index.close()


# S3


class Bucket:
    """A bucket that answers listings as S3 does."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes

    def first(self, bucket: str, prefix: str) -> JsonObject | None:
        return next((self._entry(key) for key in sorted(self.sizes) if key.startswith(prefix)), None)

    def pages(self, bucket: str, prefix: str, delimiter: str = "") -> list[JsonObject]:
        contents: list[Any] = []
        folders: set[str] = set()
        for key in sorted(key for key in self.sizes if key.startswith(prefix)):
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                folders.add(f"{prefix}{head}{found}")
            else:
                contents.append(self._entry(key))
        return [{"Contents": contents, "CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)]}]

    def _entry(self, key: str) -> JsonObject:
        return {"Key": key, "Size": self.sizes[key], "ETag": f'"{key}"'}


MARKED = {
    "data/web": 0,  # a marker without a slash
    "data/web/": 0,
    "data/web/x.txt": 3,
    "data/web/deep": 0,
    "data/web/deep/y.txt": 4,
    "data/web/empty.txt": 0,
    "data/web-2/z.txt": 5,
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data/web", ["deep/y.txt", "empty.txt", "x.txt"]),
        ("data/web/", ["deep/y.txt", "empty.txt", "x.txt"]),
        ("data/web/**", ["deep/y.txt", "empty.txt", "x.txt"]),
        ("data/web/*", ["empty.txt", "x.txt"]),
        ("data/*/deep", []),
        ("data/web/deep", ["deep/y.txt"]),
        ("data/web/empty.txt", ["empty.txt"]),
    ],
)
def test_an_empty_object_that_is_called_as_a_folder_is_no_file(
    pattern: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(MARKED)
    monkeypatch.setattr(
        "olmix_core.storage.listing.filesystem", lambda url: (bucket, url.removeprefix("s3://").rstrip("/"))
    )
    listed = expand(f"s3://lake/{pattern}")
    assert [file.url for file in listed] == [f"s3://lake/data/web/{name}" for name in expected]
    assert all(isinstance(file, ListedFile) for file in listed)
