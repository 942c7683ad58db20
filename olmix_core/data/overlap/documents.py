"""Documents that stand twice: in one leaf, or in two.

Documents are compared by hash. Of each leaf the smallest hashes are kept, 2^17 at most, which are all of them in a
small leaf; what two large leaves share is estimated from the range of hashes that both kept (Broder 1997).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from olmix_core.data.overlap.result import SharedDocuments
from olmix_core.data.overlap.windows import Hashes

KEPT = 1 << 17


@dataclass(frozen=True)
class DocumentHashes:
    """The documents of a leaf.

    Attributes:
        documents: Number of documents that are long enough to be compared.
        different: Number of different ones.
        smallest: Smallest hashes of them, ascending, each once.
    """

    documents: int
    different: int
    smallest: Hashes

    @classmethod
    def of(cls, hashes: Hashes, kept: int = KEPT) -> "DocumentHashes":
        """Count the documents of a leaf.

        Args:
            hashes: Hashes of its documents.
            kept: Hashes to keep at most.

        Returns:
            The counts.
        """
        different = np.unique(hashes)
        return cls(hashes.size, different.size, different[:kept].copy())

    @property
    def limit(self) -> float:
        """Share of all possible hashes up to which every hash is kept."""
        return 1.0 if self.smallest.size == self.different else (float(self.smallest[-1]) + 1) / 2**64


def shared_documents(leaves: Mapping[str, DocumentHashes]) -> list[SharedDocuments]:
    """Count the different documents that leaves share.

    Args:
        leaves: {leaf: its documents}.

    Returns:
        The pairs of leaves that share some, in the order of the leaves.
    """
    if not leaves:
        return []
    names = sorted(leaves)
    hashes = np.concatenate([leaves[name].smallest for name in names])
    owners = np.repeat(np.arange(len(names)), [leaves[name].smallest.size for name in names])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    # Only hashes of several leaves matter: runs of equal ones.
    again = np.append(False, hashes[1:] == hashes[:-1])
    in_run = again | np.append(again[1:], False)
    runs, owners = np.cumsum(~again)[in_run], owners[in_run]
    holds = sparse.coo_array((np.ones(runs.size, np.int64), (runs, owners)), (hashes.size + 1, len(names))).tocsr()
    common = sparse.triu(holds.T @ holds, k=1).tocoo()
    pairs = []
    for first, second, count in sorted(zip(*common.coords, common.data, strict=True)):
        limit = min(leaves[names[first]].limit, leaves[names[second]].limit)
        pairs.append(SharedDocuments((names[first], names[second]), round(int(count) / limit), limit < 1.0))
    return pairs
