"""Folders as people have them: links to files and folders, loops, links that lead nowhere, mixed suffixes, blobs."""

import bz2
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.support.input_files import delimited, json_lines, json_list

WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    ".jsonl": json_lines,
    ".json": json_list,
    ".jsonl.gz": lambda texts: gzip.compress(json_lines(texts)),
    ".ndjson.bz2": lambda texts: bz2.compress(json_lines(texts)),
    ".csv": delimited,
    ".txt": lambda texts: texts[0].encode(),
}
FOLDERS = ("data", "data/a", "data/a/b", "data/.hidden", "data/c d", "blobs", "blobs/deep")
PASSED_OVER = ("README.md", "LICENSE", "checksums.sha256", "dataset_info.json")


@dataclass(frozen=True)
class DrawnFile:
    """A file, and links to it.

    Attributes:
        folder: Its folder.
        suffix: What it holds.
        is_blob: Whether its name has no suffix.
        links: Folders with a link to it, and whether the link has the suffix.
    """

    folder: str
    suffix: str
    is_blob: bool
    links: list[tuple[str, bool]]


@dataclass(frozen=True)
class DrawnFolders:
    """Folders with files and links.

    Attributes:
        files: Files that can be read by their suffix.
        unknown: Folders with a file of unknown format.
        passed_over: Folders, and a file there that is no data.
        links: Folders, and where a link in them leads; nowhere where the target is not there.
        are_relative: Whether links are relative.
    """

    files: list[DrawnFile]
    unknown: list[str]
    passed_over: list[tuple[str, str]]
    links: list[tuple[str, str]]
    are_relative: bool

    def write(self, root: Path) -> None:
        """Write everything.

        Args:
            root: An empty folder.
        """
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(self.files):
            path = root / file.folder / (f"blob{number}" if file.is_blob else f"f{number}{file.suffix}")
            path.write_bytes(WRITERS[file.suffix]([f"text {number}"]))
            for position, (folder, has_suffix) in enumerate(file.links):
                self._link(root / folder / f"l{number}-{position}{file.suffix if has_suffix else ''}", path)
        for number, folder in enumerate(self.unknown):
            (root / folder / f"u{number}.xyz").write_text("?")
        for folder, name in self.passed_over:
            (root / folder / name).write_text("{}")
        for number, (folder, target) in enumerate(self.links):
            self._link(root / folder / f"to{number}", root / target)

    def _link(self, link: Path, target: Path) -> None:
        link.symlink_to(os.path.relpath(target, link.parent) if self.are_relative else target)


def folders() -> st.SearchStrategy[DrawnFolders]:
    """Draw folders."""
    folder = st.sampled_from(FOLDERS)
    files = st.builds(
        DrawnFile,
        folder,
        st.sampled_from(list(WRITERS)),
        st.booleans(),
        st.lists(st.tuples(folder, st.booleans()), max_size=3),
    )
    targets = st.sampled_from([*FOLDERS, ".", "gone", "gone/deep", "data/to0", "data/a/to1"])
    return st.builds(
        DrawnFolders,
        st.lists(files, min_size=1, max_size=6),
        st.lists(folder, max_size=1),
        st.lists(st.tuples(folder, st.sampled_from(PASSED_OVER)), max_size=2, unique=True),
        st.lists(st.tuples(folder, targets), max_size=4),
        st.booleans(),
    )


@dataclass(frozen=True)
class Reachable:
    """What is below a folder, by its definition: every name that leads to it, links followed, hidden names left out.

    Attributes:
        names: {real path of a file: names that lead to it}.
        broken: Links that lead nowhere.
    """

    names: dict[str, set[str]]
    broken: set[str]

    @property
    def texts(self) -> set[str]:
        """Texts of the files that have a name with a known suffix."""
        return {f"text {number}" for number in self._numbers(is_known=True)}

    @property
    def has_unknown(self) -> bool:
        """Whether there is a file of unknown format."""
        is_unknown = any(name.endswith(".xyz") for names in self.names.values() for name in names)
        return is_unknown or bool(self._numbers(is_known=False))

    def _numbers(self, *, is_known: bool) -> set[str]:
        numbers = set()
        for real, names in self.names.items():
            digits = "".join(c for c in Path(real).name.split(".")[0] if c.isdigit())
            is_file = Path(real).name.startswith(("f", "blob"))
            if is_file and digits and is_known == any(name.endswith(tuple(WRITERS)) for name in names):
                numbers.add(digits)
        return numbers


def reachable(root: Path) -> Reachable:
    """Follow every path below a folder.

    Args:
        root: The folder.

    Returns:
        What is there.
    """
    found = Reachable({}, set())
    _follow(root, (*root.resolve().parents, root.resolve()), found)
    return found


def _follow(folder: Path, within: tuple[Path, ...], found: Reachable) -> None:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        real = Path(os.path.realpath(path))
        if real.is_dir():
            if real not in within:
                _follow(path, (*within, real), found)
        elif real.is_file():
            found.names.setdefault(str(real), set()).add(path.name)
        else:
            found.broken.add(path.name)
