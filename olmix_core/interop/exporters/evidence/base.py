"""Evidence exporters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from olmix_core.registry import Registry

if TYPE_CHECKING:
    from olmix_core.evidence.merge import MergedEvidence
    from olmix_core.storage.store import Store


@dataclass(frozen=True)
class EvidenceExporter:
    """A format in which evidence is written.

    Attributes:
        name: Value of `--format`.
        description: The format in a few words, for `--help`.
        write: Writes evidence to a folder, opened as a store, and returns the names of the files; files of these
            names are replaced. Raises DataError where the format cannot hold the evidence.
    """

    name: str
    description: str
    write: "Callable[[MergedEvidence, Store], list[str]]"


EVIDENCE_EXPORTERS: Registry[EvidenceExporter] = Registry("evidence exporter")
