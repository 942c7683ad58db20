"""Domains: from the tree in the configuration to leaves, each known by its content.

A *leaf* is the finest domain that is mixed; its label is the path of names to it (source:topic:quality). Its identity
is the fingerprint of its files' content. Whatever is computed takes leaves in the order of their fingerprints, so that
neither labels nor their order in the configuration can change a result.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from olmix_core.config.config import Config, Domain, TokenizerFile
from olmix_core.data.documents import InputFile, index_of, token_reader
from olmix_core.errors import ConfigError, OlmixError
from olmix_core.identity import content_fingerprint
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import reason_of
from olmix_core.storage.listing import AT_ONCE, Found, expand_all, look_up
from olmix_core.storage.suffixes import suffix_of


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
    places = list(_walk(config.domains, "domains", "", _Above()))
    patterns = sorted({path for place in places for path in place.node.paths or ()})
    listed = dict(zip(patterns, expand_all(patterns), strict=True))
    leaves: list[Leaf] = []
    seen: dict[str, str] = {}
    for place in places:
        field, label = f"{place.field}.paths", place.label
        found = _found(place.node, listed, config_file, field)
        try:
            ordered, contents = _contents(_input_files(found, place.node, config, config_file, field, index))
        except OSError as error:
            raise ConfigError(config_file, field, reason_of(error), "files that can be read") from error
        if not any(size for _, size, _ in contents):
            raise ConfigError(config_file, field, "only empty files", "files with text or tokens")
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


def _found(node: Domain, listed: dict[str, list[Found] | Exception], config_file: str, field: str) -> list[Found]:
    """The files of a leaf, each once, sorted by name."""
    files: dict[str, Found] = {}
    for pattern in node.paths or []:
        found = listed[pattern]
        if isinstance(found, OlmixError):
            raise found
        if isinstance(found, Exception):
            words = reason_of(found) if isinstance(found, OSError) else str(found)
            raise ConfigError(config_file, field, f"{pattern}: {words}", "a path or URL that can be opened") from found
        if not found:
            raise ConfigError(config_file, field, f"no file at {pattern}", "at least one file")
        files |= {file.url: file for file in found}
    return [files[url] for url in sorted(files)]


_Contents = list[tuple[str, int, str]]  # (content hash, size, reader) of a file and, of Megatron's, its index


def _input_files(
    files: list[Found], node: Domain, config: Config, config_file: str, field: str, index: ContentIndex
) -> list[tuple[InputFile, _Contents]]:
    """The files with how each is read, and what stands for their content. Raises OSError."""
    for file in files:
        _check_format(file.url, config, config_file, field)
    bins = [file.url for file in files if suffix_of(file.url) == ".bin"]
    beside = dict(zip(bins, look_up([index_of(url) for url in bins]), strict=True))
    hashes = [_hash(file, index) for file in files]
    numpy = [(file.url, content) for file, (content, _) in zip(files, hashes, strict=True) if file.url.endswith(".npy")]
    readers = _token_readers(numpy, index)
    found = []
    for file, (content, size) in zip(files, hashes, strict=True):
        suffix, megatron = suffix_of(file.url), beside.get(file.url)
        dtype = None
        if suffix not in (".npy", ".bin"):
            reader = "text" if suffix == ".txt" else f"{suffix} {node.text_field}"
        elif megatron is not None:
            reader = "tokens-megatron"
        else:
            reader, dtype = readers.get(file.url, "tokens-raw"), node.dtype
            reader = f"{reader} {dtype}" if dtype else reader
        contents = [(content, size, reader)]
        if megatron is not None:
            contents.append((*_hash(megatron, index), reader))
        text = {} if suffix in (".npy", ".bin") else {"text_field": node.text_field}
        one = InputFile(
            file.url,
            reader,
            dtype=dtype,
            index=index_of(file.url) if megatron else None,
            content=content,
            size=size,
            **text,
        )
        found.append((one, contents))
    return found


def _hash(file: Found, index: ContentIndex) -> tuple[str, int]:
    try:
        return index.hash(file)
    except OSError as error:
        raise OSError(f"{file.url}: {reason_of(error)}") from error


def _token_readers(files: Sequence[tuple[str, str]], index: ContentIndex) -> dict[str, str]:
    """{URL: reader} of .npy files (URL, content); a content is opened once ever."""
    known = {url: index.recall(content, "reader") for url, content in files}
    new = [(url, content) for url, content in files if known[url] is None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        readers = list(pool.map(lambda one: _token_reader(one[0]), new))
    index.learn((content, "reader", reader) for (_, content), reader in zip(new, readers, strict=True))
    opened = {url: reader for (url, _), reader in zip(new, readers, strict=True)}
    return opened | {url: reader for url, reader in known.items() if reader is not None}


def _token_reader(url: str) -> str:
    try:
        return token_reader(url)
    except OSError as error:
        raise OSError(f"{url}: {reason_of(error)}") from error


def _check_format(url: str, config: Config, config_file: str, field: str) -> None:
    suffix = suffix_of(url)
    if suffix is None:
        raise ConfigError(
            config_file,
            field,
            f"a file of unknown format: {url}",
            "one of .txt .jsonl .jsonl.gz .jsonl.zst .parquet .npy .bin",
        )
    if suffix in (".npy", ".bin") and not isinstance(config.tokenizer, TokenizerFile):
        raise ConfigError(
            config_file,
            "tokenizer",
            f"kind {config.tokenizer.kind!r} for the tokens in {url}",
            "the tokenizer.json that these tokens were made with",
        )


def _contents(
    files: list[tuple[InputFile, _Contents]],
) -> tuple[tuple[InputFile, ...], tuple[tuple[str, int, str], ...]]:
    """The files in the order of their content, so that their names decide nothing; and (hash, size, reader) of all."""
    files = sorted(files, key=lambda pair: pair[1])
    contents = sorted(content for _, of_file in files for content in of_file)
    return tuple(file for file, _ in files), tuple(contents)
