"""Evidence: what every evaluated proxy measured, for all mixes of a store.

In go rows of evaluated proxies, {content: weight} and {task: BPB}; the `ledger` keeps them, in files of the store that
are only ever added. Out come rows selected for a fit (`select_compatible`, `select_from_ledger`,
`evidence_of_versions`), merged by proxy (`merge`) and written over atoms, the finest leaves of all versions
(`in_atoms`), as the arrays that the `surrogate` package fits.
"""

from olmix_core.evidence import ledger
from olmix_core.evidence.atoms import atom_matrix, extend_splits, in_atoms
from olmix_core.evidence.compatibility import Requirements, describe_exclusions, select_compatible
from olmix_core.evidence.merge import MergedEvidence, merge
from olmix_core.evidence.pooling import (
    LedgerSelection,
    PinnedEvidence,
    PinnedPool,
    VersionEvidence,
    evidence_of_versions,
    select_from_ledger,
)
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.evidence.summary import Filters, SwarmSummary, overview, select

__all__ = [
    "EvidenceRow",
    "Filters",
    "LedgerSelection",
    "MergedEvidence",
    "PinnedEvidence",
    "PinnedPool",
    "Requirements",
    "SwarmSummary",
    "VersionEvidence",
    "atom_matrix",
    "describe_exclusions",
    "evidence_of_versions",
    "extend_splits",
    "in_atoms",
    "ledger",
    "merge",
    "overview",
    "recipe_key",
    "select",
    "select_compatible",
    "select_from_ledger",
]
