"""What was found of protected text, and of copies of documents, in the leaves of a domain set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.serialization import OMIT_NONE, JsonRecord


@dataclass(frozen=True)
class LeafOverlap(JsonRecord):
    """What was found in one leaf.

    Attributes:
        documents: Documents that are long enough to be compared.
        copies: Those of them that repeat an earlier document of the leaf.
        found: {source: protected passages of it that stand here}; a source is a leaf, whose held-out text is
            protected, or a task.
        holders: {source: name of the list of passages that hold text of it}.
        passages: Passages that are not trained on.
        tokens: Their tokens.
        exclusion: Name of the list of these passages; None where there are none.
    """

    documents: int = 0
    copies: int = 0
    found: Mapping[str, int] = field(default_factory=dict)
    holders: Mapping[str, str] = field(default_factory=dict)
    passages: int = 0
    tokens: int = 0
    exclusion: str | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True)
class SharedDocuments(JsonRecord):
    """Different documents that stand in two leaves.

    Attributes:
        leaves: The two leaves.
        documents: Their number.
        is_estimate: Whether it is estimated from a sample of the documents.
    """

    leaves: tuple[str, str]
    documents: int
    is_estimate: bool


@dataclass(frozen=True)
class Overlap(JsonRecord):
    """What was found in a domain set.

    Attributes:
        leaves: {leaf: what was found in it}.
        protected: {source: its protected passages}.
        shared: Pairs of leaves that share documents.
    """

    leaves: Mapping[str, LeafOverlap] = field(default_factory=dict)
    protected: Mapping[str, int] = field(default_factory=dict)
    shared: Sequence[SharedDocuments] = ()

    @property
    def exclusions(self) -> dict[str, str]:
        """{leaf: name of the list of passages that are not trained on}, of leaves that have some."""
        return {leaf: found.exclusion for leaf, found in self.leaves.items() if found.exclusion is not None}

    def restricted(self, leaves: Sequence[str]) -> "Overlap":
        """Keep what is known of some leaves.

        Args:
            leaves: Their fingerprints.

        Returns:
            What was found in these leaves.
        """
        kept = {leaf: found for leaf, found in self.leaves.items() if leaf in leaves}
        return Overlap(kept, self.protected, tuple(pair for pair in self.shared if kept.keys() >= set(pair.leaves)))

    def without_exclusions(self) -> "Overlap":
        """Leave out protected text.

        Returns:
            What is known of copies of documents only.
        """
        leaves = {leaf: LeafOverlap(found.documents, found.copies) for leaf, found in self.leaves.items()}
        return Overlap(leaves, shared=self.shared)

    def excluded_tokens(self, leaf: str) -> int:
        """Count tokens that are not trained on.

        Args:
            leaf: Fingerprint of a leaf.

        Returns:
            Its tokens that are neither held out nor trained on.
        """
        return self.leaves.get(leaf, LeafOverlap()).tokens

    def holders(self, sources: Sequence[str]) -> list[tuple[str, str]]:
        """List where text of some sources stands.

        Args:
            sources: Leaves whose held-out text is protected, or tasks.

        Returns:
            Pairs of a leaf and the name of the list of its passages that hold such text.
        """
        return [
            (leaf, found.holders[source])
            for leaf, found in self.leaves.items()
            for source in sources
            if source in found.holders
        ]

    @property
    def lists(self) -> list[str]:
        """Names of all lists of passages."""
        leaves = self.leaves.values()
        names = [name for found in leaves for name in (found.exclusion, *found.holders.values()) if name is not None]
        return sorted(set(names))
