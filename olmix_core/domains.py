"""Domains: from the tree in the configuration to leaves, each known by its content.

A *leaf* is the finest domain that is mixed; its label is the path of names to it (source:topic:quality). Its identity
is the fingerprint of its files' content. Whatever is computed takes leaves in the order of their fingerprints, so that
neither labels nor their order in the configuration can change a result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    for node, field, label, unit, share in _walk(config.domains, "domains", "", None, 1.0):
        files = _files(node, config, config_file, f"{field}.paths")
        contents, size = _contents(files, index, config_file, f"{field}.paths")
        fingerprint = content_fingerprint(contents)
        if fingerprint in seen:
            raise ConfigError(
                config_file,
                f"{field}.paths",
                f"the content of {label!r} to be that of {seen[fingerprint]!r}",
                "every leaf to hold content of its own: remove one of the two",
            )
        seen[fingerprint] = label
        leaves.append(Leaf(label, fingerprint, tuple(files), size, tuple(sorted(contents)), unit, share))
    return DomainSet(tuple(sorted(leaves, key=lambda leaf: leaf.fingerprint)))


def _walk(
    nodes: list[Domain], field: str, prefix: str, unit: str | None, share: float
) -> Iterator[tuple[Domain, str, str, str, float]]:
    """Every leaf as (node, field, label, unit, share within the unit)."""
    for position, node in enumerate(nodes):
        label = f"{prefix}{node.name}"
        here = f"{field}[{position}]"
        # The first pinned level opens a unit, named by the node above it; what is below multiplies its shares.
        inner = unit if node.weight is None else (unit or prefix)
        inner_share = share if node.weight is None else share * node.weight
        if node.paths is not None:
            yield node, here, label, inner or label, inner_share
        else:
            kind = "topics" if node.topics else "quality"
            yield from _walk(node.children, f"{here}.{kind}", f"{label}:", inner, inner_share)


def _files(node: Domain, config: Config, config_file: str, field: str) -> list[InputFile]:
    urls: set[str] = set()
    for pattern in node.paths or []:
        found = _expand(pattern)
        if not found:
            raise ConfigError(config_file, field, f"no file at {pattern}", "at least one file")
        urls.update(found)
    return [_input_file(url, node, config, config_file, field) for url in sorted(urls)]


def _expand(pattern: str) -> list[str]:
    fs, path = fsspec.url_to_fs(pattern)
    if not any(sign in path for sign in "*?["):
        if fs.isdir(path):
            path = f"{path.rstrip('/')}/**"
        else:
            return [fs.unstrip_protocol(path)] if fs.exists(path) else []
    found = fs.glob(path, detail=True)
    urls = [
        fs.unstrip_protocol(name)
        for name, info in found.items()
        if info["type"] == "file" and not Path(name).name.startswith(".")
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
) -> tuple[list[tuple[str, int, str]], int]:
    contents, total = [], 0
    for file in files:
        for url in (file.url, file.index):
            if url is None:
                continue
            try:
                value, size = index.hash(url)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise ConfigError(config_file, field, f"{url}: {reason}", "a file that can be read") from error
            contents.append((value, size, file.reader))
            total += size
    if total == 0:
        raise ConfigError(config_file, field, "only empty files", "files with text or tokens")
    return contents, total
