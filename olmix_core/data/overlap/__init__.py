"""Overlap: text that proxies are evaluated on and that stands in the text they train on, and copies of documents.

*Protected* is the held-out text of every leaf and the text of every task. In go tokenised leaves and tasks
(`find_overlap`); out come, for each leaf, the passages that hold protected text, which are not trained on, and counts
of documents that stand twice. `remarks` puts it into words.
"""

from olmix_core.data.overlap.find import find_overlap
from olmix_core.data.overlap.result import LeafOverlap, Overlap, SharedDocuments

__all__ = ["LeafOverlap", "Overlap", "SharedDocuments", "find_overlap"]
