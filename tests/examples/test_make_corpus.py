"""The quickstart's corpus: the same bytes every time, domains apart, tasks unseen."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart" / "make_corpus.py"
DOMAINS = {"code", "cpp", "html", "json", "prose", "readme", "sessions"}


def make(out: Path, seed: str) -> None:
    """Run the script where nothing but its argument can tell it where to write."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, str(SCRIPT), out.name]
    subprocess.run(command, cwd=out.parent, env=environment, check=True)


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def identity(path: Path) -> tuple[int, int]:
    """What a file that is replaced cannot keep."""
    return path.stat().st_ino, path.stat().st_mtime_ns


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "data"
    make(out, "1")
    return out


@pytest.fixture(scope="module")
def domains(corpus: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(corpus.iterdir()):
        name = path.name.partition(".")[0]
        if path.is_dir():
            found[name] = [file.read_bytes().decode() for file in path.glob("*.txt")]
        else:
            data = path.read_bytes()
            lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
            found[name] = [json.loads(line)["text"] for line in lines]
    del found["tasks"]
    return found


@pytest.fixture(scope="module")
def tasks(corpus: Path) -> dict[str, list[dict[str, str]]]:
    return {
        path.stem: [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in (corpus / "tasks").iterdir()
    }


def test_second_run_elsewhere_gives_the_same_and_touches_only_what_is_wrong(corpus: Path) -> None:
    # A copy serves for both questions: a file that the second run makes otherwise gets replaced.
    copy = corpus.parent / "other" / "folder"
    shutil.copytree(corpus, copy)
    damaged, stale = copy / "cpp" / "0000.txt", copy / "cpp" / "9999.txt"
    damaged.write_text("damaged")
    stale.write_text("from another version")
    before = {path: identity(path) for path in copy.rglob("*") if path.is_file()}
    make(copy, "2")
    assert contents(copy) == contents(corpus)
    after = {path: identity(path) for path in copy.rglob("*") if path.is_file()}
    changed = {path for path in before if before[path] != after.get(path)}
    assert changed == {damaged, stale}


def test_domains_are_large_enough_and_not_equally_large(domains: dict[str, list[str]]) -> None:
    sizes = {name: sum(len(text.encode()) for text in domains[name]) / 1e6 for name in domains}
    assert set(sizes) == DOMAINS
    assert all(0.95 < size <= 4 for name, size in sizes.items() if name != "readme"), sizes
    assert 0.25 < sizes["readme"] <= 1
    assert max(sizes.values()) > 3 * min(sizes.values())


def test_documents_are_of_readable_size(domains: dict[str, list[str]]) -> None:
    assert all(200 <= len(text.encode()) <= 50_000 for text in chain(*domains.values()))


def test_no_document_is_there_twice(domains: dict[str, list[str]]) -> None:
    words = Counter(" ".join(text.split()) for text in chain(*domains.values()))
    assert words.most_common(1)[0][1] == 1


def test_tasks_have_items_to_score(tasks: dict[str, list[dict[str, str]]]) -> None:
    assert set(tasks) == {"complete_code", "explain_code"}
    for items in tasks.values():
        assert len(items) == 200
        for item in items:
            assert set(item) == {"context", "continuation"}
            assert item["continuation"][0] in " \n"
            assert not item["context"][-1].isspace()
            assert 50 <= len(item["continuation"].encode()) <= 300


def test_no_continuation_is_in_a_domain(domains: dict[str, list[str]], tasks: dict[str, list[dict[str, str]]]) -> None:
    seen = " ".join(" ".join(text.split()) for text in chain(*domains.values()))
    for item in chain(*tasks.values()):
        assert " ".join(item["continuation"].split()) not in seen
