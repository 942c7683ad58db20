"""Domains: from the tree in the configuration to leaves, each known by its content.

A *leaf* is the finest domain that is mixed; its label is the path of names to it (source:topic:quality). Its identity
is the fingerprint of its files' content. Whatever is computed takes leaves in the order of their fingerprints, so that
neither labels nor their order in the configuration can change a result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.tokenizer import TokenizerFile
from olmix_core.data.formats import formats_at, suffixes, suffixes_in_words
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import Content, LeafFiles, read_files
from olmix_core.errors import ConfigError, OlmixError
from olmix_core.identity import content_fingerprint
from olmix_core.mixture import Mixture
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import reason_of
from olmix_core.storage.listing import ListedFile, expand_all


@dataclass(frozen=True)
class Leaf:
    """A leaf of the domain tree.

    Attributes:
        label: The path of names to it, with colons between them.
        fingerprint: Its identity, over its contents.
        files: Its files, in the order of their content.
        size: Their bytes, on disk.
        contents: What stands for the content of each file, sorted.
        column: The free dimension that it belongs to; leaves with pinned weights share one.
        share: Its part of that dimension.
        partition_of: The label of the former leaf that it is declared to be a part of.
    """

    label: str
    fingerprint: str
    files: tuple[InputFile, ...]
    size: int
    contents: tuple[Content, ...]
    column: str
    share: float
    partition_of: str | None = None


@dataclass(frozen=True)
class DomainSet:
    """All leaves, ordered by fingerprint."""

    leaves: tuple[Leaf, ...]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the leaves, in order."""
        return tuple(leaf.fingerprint for leaf in self.leaves)

    @property
    def labels(self) -> dict[str, str]:
        """{fingerprint: label}."""
        return {leaf.fingerprint: leaf.label for leaf in self.leaves}

    def under(self, node: str) -> tuple[Leaf, ...]:
        """Find the leaves that a name stands for.

        Args:
            node: The label of a leaf, or of a node above leaves.

        Returns:
            That leaf, or the leaves below that node; empty where there is none.
        """
        return tuple(leaf for leaf in self.leaves if leaf.label == node or leaf.label.startswith(f"{node}:"))

    @property
    def free_columns(self) -> list[Mixture]:
        """The columns of the expansion where nothing is kept of an old mix: {fingerprint: share} each."""
        columns: dict[str, Mixture] = {}
        for leaf in self.leaves:
            columns.setdefault(leaf.column, {})[leaf.fingerprint] = leaf.share
        return list(columns.values())


def read_domains(config: Config, config_file: str, index: ContentIndex) -> DomainSet:
    """Find the files of every leaf and fingerprint their content.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        index: Where hashes of content are remembered.

    Returns:
        The leaves.

    Raises:
        ConfigError: A path matches nothing or cannot be read, a format is unknown, or two leaves hold the same
            content.
    """
    places = list(_walk(config.domains, "domains", "", _Above()))
    patterns = sorted({path for place in places for path in place.node.paths or ()})
    listed = dict(zip(patterns, expand_all(patterns, suffixes()), strict=True))
    leaves: dict[str, Leaf] = {}
    for place in places:
        field = f"{place.field}.paths"
        files = _listed_files(place.node, listed, config_file, field)
        for file in files:
            _check_format(file.url, config, config_file, field)
        try:
            leaf = _leaf(place, read_files(files, place.node.text_field, place.node.dtype, index))
        except OSError as error:
            raise ConfigError(config_file, field, reason_of(error), "files that can be read") from error
        if not leaf.size:
            raise ConfigError(config_file, field, "only empty files", "files with text or tokens")
        if leaf.fingerprint in leaves:
            raise ConfigError(
                config_file,
                field,
                f"the content of {leaf.label!r} to be that of {leaves[leaf.fingerprint].label!r}",
                "every leaf to hold content of its own: remove one of the two",
            )
        leaves[leaf.fingerprint] = leaf
    return DomainSet(tuple(leaves[fingerprint] for fingerprint in sorted(leaves)))


@dataclass(frozen=True)
class _Above:
    """What a node inherits from the nodes above it."""

    column: str | None = None
    share: float = 1.0
    partition_of: str | None = None


@dataclass(frozen=True)
class _Place:
    """A node with paths, and where it is in the tree."""

    node: Domain
    field: str
    label: str
    above: _Above


def _leaf(place: _Place, files: LeafFiles) -> Leaf:
    return Leaf(
        label=place.label,
        fingerprint=content_fingerprint(files.contents),
        files=files.files,
        size=sum(size for _, size, _ in files.contents),
        contents=files.contents,
        column=place.above.column or place.label,
        share=place.above.share,
        partition_of=place.above.partition_of,
    )


def _walk(nodes: list[Domain], field: str, prefix: str, above: _Above) -> Iterator[_Place]:
    for position, node in enumerate(nodes):
        label, here = f"{prefix}{node.name}", f"{field}[{position}]"
        column, share = above.column, above.share
        if node.weight is not None:
            # The first pinned level opens a column, named by the node above it; levels below multiply its shares.
            column, share = column or prefix, share * node.weight
        below = _Above(column, share, node.partition_of or above.partition_of)
        if node.paths is not None:
            yield _Place(node, here, label, below)
        else:
            kind = "topics" if node.topics else "quality"
            yield from _walk(node.children, f"{here}.{kind}", f"{label}:", below)


def _listed_files(
    node: Domain, listed: dict[str, list[ListedFile] | Exception], config_file: str, field: str
) -> list[ListedFile]:
    """The files of a leaf, each once, sorted by name."""
    files: dict[str, ListedFile] = {}
    for pattern in node.paths or []:
        matches = listed[pattern]
        if isinstance(matches, OlmixError):
            raise matches
        if isinstance(matches, Exception):
            reason = reason_of(matches) if isinstance(matches, OSError) else str(matches)
            raise ConfigError(
                config_file, field, f"{pattern}: {reason}", "a path or URL that can be opened"
            ) from matches
        if not matches:
            raise ConfigError(config_file, field, f"no file at {pattern}", "at least one file")
        files |= {file.url: file for file in matches}
    return [files[url] for url in sorted(files)]


def _check_format(url: str, config: Config, config_file: str, field: str) -> None:
    candidates = formats_at(url)
    if not candidates:
        raise ConfigError(config_file, field, f"a file of unknown format: {url}", f"one of {suffixes_in_words()}")
    if candidates[0].kind == "tokens" and not isinstance(config.tokenizer, TokenizerFile):
        raise ConfigError(
            config_file,
            "tokenizer",
            f"kind {config.tokenizer.kind!r} for the tokens in {url}",
            "the tokenizer.json that these tokens were made with",
        )
