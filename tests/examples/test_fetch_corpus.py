"""The study's corpus: what is read out of packages, and how it is cut and chosen."""

import gzip
import importlib.util
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study" / "fetch_corpus.py"


@pytest.fixture(scope="module")
def fetch_corpus() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_corpus", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch_corpus"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs Debian's dpkg-deb")
def test_reads_what_the_patterns_name_out_of_a_debian_package(fetch_corpus: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: -\n"
    )
    (root / "man").mkdir()
    (root / "man" / "one.gz").write_bytes(gzip.compress("packed äöü".encode()))
    (root / "man" / "two.txt").write_text("not asked for")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as inner:
        inner.writestr("base/A.java", "class A {}")
        inner.writestr("base/A.class", "no text")
    (root / "src.zip").write_bytes(packed.getvalue())
    package = tmp_path / "x_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, package], check=True, capture_output=True)

    wanted = fetch_corpus.Package("x", "none", ("*/man/*.gz", "*/src.zip!base/*.java"))

    assert list(fetch_corpus.texts(wanted, package)) == ["packed äöü", "class A {}"]


def test_long_texts_are_cut_at_the_ends_of_lines_and_nothing_is_lost(fetch_corpus: ModuleType) -> None:
    text = "".join(f"line {number} of many\n" for number in range(3000)) + "x" * 40_000

    pieces = list(fetch_corpus.pieces(text))

    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= fetch_corpus.PIECE
    assert pieces[0].endswith("\n")


def test_what_is_chosen_depends_on_content_alone(fetch_corpus: ModuleType) -> None:
    texts = [f"document {number} " + " ".join(f"word{number}x{i}" for i in range(60)) for number in range(30)]

    chosen = fetch_corpus.documents(texts, 0.005, fetch_corpus.Novelty())

    assert 0 < len(chosen) < len(texts)
    assert sum(len(text.encode()) for text in chosen) <= 5000
    assert fetch_corpus.documents([*texts[::-1], texts[0]], 0.005, fetch_corpus.Novelty()) == chosen


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("// Copyright\n// Licence\n\npackage x\n// kept\n", "package x\n// kept\n"),
        ("/* Copyright\n */\nint x; /* kept */", "int x; /* kept */"),
        ("package x\n", "package x\n"),
    ],
)
def test_only_the_notice_at_the_top_of_source_code_goes(fetch_corpus: ModuleType, text: str, left: str) -> None:
    assert fetch_corpus.without_notice(text) == left
