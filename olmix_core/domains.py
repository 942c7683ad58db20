"""Domains: from the tree in the configuration to leaves, each known by its content.

A *leaf* is the finest domain that is mixed; its label is the path of names to it (source:topic:quality). Its identity
is the fingerprint of its files' content. Whatever is computed takes leaves in the order of their fingerprints, so that
neither labels nor their order in the configuration can change a result.
"""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import fsspec

from olmix_core.config import Config, Domain, TokenizerFile
from olmix_core.errors import ConfigError
from olmix_core.fingerprint import ContentIndex, content_fingerprint
from olmix_core.formats import InputFile, index_of, suffix_of, token_reader


@dataclass(frozen=True)
class Leaf:
    """A leaf of the domain tree. `size` is in bytes, on disk."""

    label: str
    fingerprint: str
    files: tuple[InputFile, ...]
    size: int
    contents: tuple[tuple[str, int, str], ...]  # (content hash, size, reader) per file, sorted
    # Leaves of one unit keep fixed shares of it: the weights pinned in the configuration.
    unit: str
    share: float
    partition_of: str | None = None


@dataclass(frozen=True)
class DomainSet:
    """All leaves, ordered by fingerprint."""

    leaves: tuple[Leaf, ...]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        return tuple(leaf.fingerprint for leaf in self.leaves)

    @property
    def labels(self) -> dict[str, str]:
        """Label by fingerprint."""
        return {leaf.fingerprint: leaf.label for leaf in self.leaves}

    def under(self, node: str) -> tuple[Leaf, ...]:
        """The leaf called `node`, or the leaves below the node of that name; empty where there is none."""
        return tuple(leaf for leaf in self.leaves if leaf.label == node or leaf.label.startswith(f"{node}:"))

    @property
    def units(self) -> list[dict[str, float]]:
        """The free dimensions: per column of the expansion, {fingerprint: share}, in the leaves' order."""
        columns: dict[str, dict[str, float]] = {}
        for leaf in self.leaves:
            columns.setdefault(leaf.unit, {})[leaf.fingerprint] = leaf.share
        return list(columns.values())


def read_domains(config: Config, config_file: str, index: ContentIndex) -> DomainSet:
    """Find every leaf's files and fingerprint their content.

    Raises:
        ConfigError: a path matches nothing or cannot be read, a format is unknown, or two leaves hold the same
            content.
    """
    leaves: list[Leaf] = []
    seen: dict[str, str] = {}
    for place in _walk(config.domains, "domains", "", _Above()):
        field, label = f"{place.field}.paths", place.label
        files = _files(place.node, config, config_file, field)
        ordered, contents = _contents(files, index, config_file, field)
        fingerprint = content_fingerprint(contents)
        if fingerprint in seen:
            raise ConfigError(
                config_file,
                field,
                f"the content of {label!r} to be that of {seen[fingerprint]!r}",
                "every leaf to hold content of its own: remove one of the two",
            )
        seen[fingerprint] = label
        size = sum(size for _, size, _ in contents)
        above = place.above
        leaves.append(
            Leaf(
                label=label,
                fingerprint=fingerprint,
                files=ordered,
                size=size,
                contents=contents,
                unit=above.unit or label,
                share=above.share,
                partition_of=above.partition_of,
            )
        )
    return DomainSet(tuple(sorted(leaves, key=lambda leaf: leaf.fingerprint)))


@dataclass(frozen=True)
class _Above:
    """What a node has from the nodes above it."""

    unit: str | None = None
    share: float = 1.0
    partition_of: str | None = None


@dataclass(frozen=True)
class _Place:
    """A node with paths, and where it is in the tree."""

    node: Domain
    field: str
    label: str
    above: _Above


def _walk(nodes: list[Domain], field: str, prefix: str, above: _Above) -> Iterator[_Place]:
    for position, node in enumerate(nodes):
        label, here = f"{prefix}{node.name}", f"{field}[{position}]"
        unit, share = above.unit, above.share
        if node.weight is not None:
            # The first pinned level opens a unit, named by the node above it; what is below multiplies its shares.
            unit, share = unit or prefix, share * node.weight
        below = _Above(unit, share, node.partition_of or above.partition_of)
        if node.paths is not None:
            yield _Place(node, here, label, below)
        else:
            kind = "topics" if node.topics else "quality"
            yield from _walk(node.children, f"{here}.{kind}", f"{label}:", below)


def _files(node: Domain, config: Config, config_file: str, field: str) -> list[InputFile]:
    urls: set[str] = set()
    for pattern in node.paths or []:
        try:
            found = expand(pattern)
        except Exception as error:  # each kind of store has exceptions of its own
            reason = f"{pattern}: {error}"
            raise ConfigError(config_file, field, reason, "a path or URL that can be opened") from error
        if not found:
            raise ConfigError(config_file, field, f"no file at {pattern}", "at least one file")
        urls.update(found)
    return [_input_file(url, node, config, config_file, field) for url in sorted(urls)]


def expand(pattern: str) -> list[str]:
    fs, path = fsspec.url_to_fs(pattern)
    # What is there under this very name is meant, even where the name has the signs of a glob.
    if fs.isfile(path):
        return [fs.unstrip_protocol(path)]
    if fs.isdir(path):
        path = f"{glob.escape(path.rstrip('/'))}/**"
    elif not glob.has_magic(path):
        return []
    # Hidden files and folders are no data, unless the pattern leads into them.
    fixed = sum(1 for _ in takewhile(lambda part: not glob.has_magic(part), path.split("/")))
    urls = [
        fs.unstrip_protocol(name)
        for name, info in fs.glob(path, detail=True).items()
        if info["type"] == "file" and not any(part.startswith(".") for part in name.split("/")[fixed:])
    ]
    known = [url for url in urls if suffix_of(url) is not None]
    # A folder may hold an index or a licence beside its data; a file named outright is checked by the caller.
    return known or urls


def _input_file(url: str, node: Domain, config: Config, config_file: str, field: str) -> InputFile:
    suffix = suffix_of(url)
    if suffix is None:
        raise ConfigError(
            config_file,
            field,
            f"a file of unknown format: {url}",
            "one of .txt .jsonl .jsonl.gz .jsonl.zst .parquet .npy .bin",
        )
    if suffix not in (".npy", ".bin"):
        return InputFile(url, "text" if suffix == ".txt" else f"{suffix} {node.text_field}", node.text_field)
    if not isinstance(config.tokenizer, TokenizerFile):
        raise ConfigError(
            config_file,
            "tokenizer",
            f"kind {config.tokenizer.kind!r} for the tokens in {url}",
            "the tokenizer.json that these tokens were made with",
        )
    reader = token_reader(url)
    if reader == "tokens-megatron":
        return InputFile(url, reader, index=index_of(url))
    return InputFile(url, f"{reader} {node.dtype}" if node.dtype else reader, dtype=node.dtype)


def _contents(
    files: list[InputFile], index: ContentIndex, config_file: str, field: str
) -> tuple[tuple[InputFile, ...], tuple[tuple[str, int, str], ...]]:
    """The files in the order of their content, so that their names decide nothing; and (hash, size, reader) of all."""
    found: list[tuple[list[tuple[str, int, str]], InputFile]] = []
    for file in files:
        urls = [file.url] if file.index is None else [file.url, file.index]
        try:
            found.append(([(*index.hash(url), file.reader) for url in urls], file))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(config_file, field, f"{file.url}: {reason}", "a file that can be read") from error
    found.sort(key=lambda pair: pair[0])
    contents = sorted(content for of_file, _ in found for content in of_file)
    if not any(size for _, size, _ in contents):
        raise ConfigError(config_file, field, "only empty files", "files with text or tokens")
    return tuple(file for _, file in found), tuple(contents)
