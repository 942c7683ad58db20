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
from olmix_core.data.formats import formats_at
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import Content, LeafFiles, read_files
from olmix_core.data.selection import Selection, describe_files, select
from olmix_core.errors import ConfigError, OlmixError
from olmix_core.identity import content_fingerprint
from olmix_core.mixture import Mixture
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import reason_of
from olmix_core.storage.listing import ListedFile, expand, expand_all, stat_files

SIMILAR = 3  # files that a message about a missing one names


@dataclass(frozen=True)
class Sample:
    """What the files of a leaf stand for, if they are a sample of it.

    Attributes:
        tokens: Tokens of the whole; None where the scale is given.
        scale: Tokens of the whole for each token of the files.
    """

    tokens: int | None = None
    scale: float = 1.0

    def size(self, available: int) -> int:
        """Count the tokens of the whole.

        Args:
            available: Tokens of the files that may be trained on.

        Returns:
            Tokens N_j of the leaf.
        """
        return round(available * self.scale) if self.tokens is None else self.tokens

    def describe(self) -> str:
        """Describe the sample.

        Returns:
            Such as `stands for 10 times its tokens`.
        """
        return (
            f"stands for {self.scale:g} times its tokens"
            if self.tokens is None
            else f"stands for {self.tokens:,} tokens"
        )


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
        sample: What its files stand for; None where they are all of it.
        skipped: The files at its paths that the configuration skips, in words; empty where there are none.
    """

    label: str
    fingerprint: str
    files: tuple[InputFile, ...]
    size: int
    contents: tuple[Content, ...]
    column: str
    share: float
    partition_of: str | None = None
    sample: Sample | None = None
    skipped: str = ""

    def represented(self, available: int) -> int:
        """Count the tokens that the leaf stands for.

        Args:
            available: Tokens of its files that may be trained on.

        Returns:
            Tokens N_j, of which natural shares, caps and epochs are made.
        """
        return available if self.sample is None else self.sample.size(available)


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
        ConfigError: A path matches nothing or cannot be read, a format is unknown and not skipped, or two leaves hold
            the same content.
    """
    places = list(_walk(config.domains, "domains", "", _Above()))
    patterns = sorted({path for place in places for path in place.node.paths or ()})
    listed = dict(zip(patterns, expand_all(patterns), strict=True))
    leaves: dict[str, Leaf] = {}
    for place in places:
        field = f"{place.field}.paths"
        selection = _selected_files(place, listed, config_file, field)
        for file in selection.files:
            _check_tokenizer(file.url, config, config_file)
        try:
            files = read_files(selection.files, place.node.text_field, place.node.dtype, index)
            leaf = _leaf(place, files, describe_files(selection.skipped) if selection.skipped else "")
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
    skip: tuple[str, ...] = ()
    sample: Sample | None = None


@dataclass(frozen=True)
class _Place:
    """A node with paths, and where it is in the tree."""

    node: Domain
    field: str
    label: str
    above: _Above


def _leaf(place: _Place, files: LeafFiles, skipped: str) -> Leaf:
    return Leaf(
        label=place.label,
        fingerprint=content_fingerprint(files.contents),
        files=files.files,
        size=sum(size for _, size, _ in files.contents),
        contents=files.contents,
        column=place.above.column or place.label,
        share=place.above.share,
        partition_of=place.above.partition_of,
        sample=place.above.sample,
        skipped=skipped,
    )


def _walk(nodes: list[Domain], field: str, prefix: str, above: _Above) -> Iterator[_Place]:
    for position, node in enumerate(nodes):
        label, here = f"{prefix}{node.name}", f"{field}[{position}]"
        column, share = above.column, above.share
        if node.weight is not None:
            # The first pinned level opens a column, named by the node above it; levels below multiply its shares.
            column, share = column or prefix, share * node.weight
        sample = above.sample
        if node.tokens is not None or node.scale is not None:
            sample = Sample(node.tokens, node.scale or 1.0)
        below = _Above(column, share, node.partition_of or above.partition_of, (*above.skip, *node.skip), sample)
        if node.paths is not None:
            yield _Place(node, here, label, below)
        else:
            kind = "topics" if node.topics else "quality"
            yield from _walk(node.children, f"{here}.{kind}", f"{label}:", below)


def _selected_files(
    place: _Place, listed: dict[str, list[ListedFile] | Exception], config_file: str, field: str
) -> Selection:
    """The files at the paths of a leaf, by what is done with them."""
    files: list[ListedFile] = []
    for pattern in place.node.paths or []:
        matches = listed[pattern]
        if isinstance(matches, OlmixError):
            raise matches
        if isinstance(matches, Exception):
            reason = reason_of(matches) if isinstance(matches, OSError) else str(matches)
            raise ConfigError(
                config_file, field, f"{pattern}: {reason}", "a path or URL that can be opened"
            ) from matches
        matches = matches or _by_prefix(pattern, config_file, field)
        selection = select(matches, place.above.skip)
        selection.check(config_file, field, "name them in skip if they are no data")
        if not selection.files:
            nothing = f"nothing to read at {pattern}: {describe_files(matches)} skipped or passed over"
            raise ConfigError(config_file, field, nothing, "at least one file of data")
        files += matches
    return select(files, place.above.skip)


def _by_prefix(pattern: str, config_file: str, field: str) -> list[ListedFile]:
    """The pairs of Megatron that a pattern without a match is the prefix of; ConfigError where it is of none."""
    try:
        tokens = expand(f"{pattern}.bin")
        indexes = stat_files([f"{file.url[: -len('.bin')]}.idx" for file in tokens])
        if tokens and all(indexes):
            return tokens
        similar = [file.url for file in expand(f"{pattern.rstrip('/')}*")][:SIMILAR]
    except (OSError, ValueError, OlmixError):
        similar = []
    hint = f": such as {', '.join(similar)}" if similar else ""
    raise ConfigError(config_file, field, f"no file at {pattern}", f"at least one file{hint}")


def _check_tokenizer(url: str, config: Config, config_file: str) -> None:
    if formats_at(url)[0].kind == "tokens" and not isinstance(config.tokenizer, TokenizerFile):
        raise ConfigError(
            config_file,
            "tokenizer",
            f"kind {config.tokenizer.kind!r} for the tokens in {url}",
            "the tokenizer.json that these tokens were made with",
        )
