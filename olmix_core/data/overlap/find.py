"""Find protected text and copies of documents in all leaves of a domain set."""

from collections import Counter
from collections.abc import Iterable, Mapping

from olmix_core.data.corpus import open_corpus, open_tokens, read_passages, write_exclusion
from olmix_core.data.overlap.documents import DocumentHashes, shared_documents
from olmix_core.data.overlap.piece_index import PieceIndex
from olmix_core.data.overlap.protected import ProtectedPassage, heldout_passages, task_passages
from olmix_core.data.overlap.result import LeafOverlap, Overlap
from olmix_core.data.overlap.scan import LeafScanner
from olmix_core.data.overlap.windows import TokenHasher
from olmix_core.data.tasks import TaskSource
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.storage.store import Store


def find_overlap(
    store: Store, corpora: Mapping[str, str], tasks: Mapping[str, TaskSource], tokenizer: Tokenizer
) -> Overlap:
    """Look through all leaves, one after the other; the lists of passages that hold protected text are written.

    Args:
        store: The store.
        corpora: {leaf: folder of its tokens}.
        tasks: {task: where its documents are}, of tasks that have documents.
        tokenizer: The tokenizer of the corpora.

    Returns:
        What was found.

    Raises:
        DamageError: A file of the store is damaged.
        DataError: A document of a task cannot be read.
    """
    protected = _protected(store, corpora, tasks, tokenizer)
    size, tokens = sum(passage.size for passage in protected), sum(passage.tokens.size for passage in protected)
    hasher = TokenHasher(tokenizer.vocab_size)
    index = PieceIndex(protected, hasher, size / tokens if tokens else 1.0)
    scanner = LeafScanner(index, hasher, tokenizer.eos)
    leaves: dict[str, LeafOverlap] = {}
    documents: dict[str, DocumentHashes] = {}
    for leaf in sorted(corpora):
        passages = read_passages(store, corpora[leaf])
        scan = scanner.scan(leaf, open_tokens(store, corpora[leaf], tokenizer.dtype, passages), passages)
        counted = documents[leaf] = DocumentHashes.of(scan.documents)
        excluded = sorted({passage for passage, _ in scan.found})
        holders: dict[str, set[int]] = {}
        for passage, number in scan.found:
            for source in index.sources[number]:
                holders.setdefault(source, set()).add(passage)
        leaves[leaf] = LeafOverlap(
            documents=counted.documents,
            copies=counted.documents - counted.different,
            found=_by_source(index, {number for _, number in scan.found}),
            holders={source: write_exclusion(store, leaf, sorted(held)) for source, held in sorted(holders.items())},
            passages=len(excluded),
            tokens=int((passages.ends - passages.starts)[excluded].sum()),
            exclusion=write_exclusion(store, leaf, excluded) if excluded else None,
        )
    return Overlap(leaves, _by_source(index, range(len(index.passages))), tuple(shared_documents(documents)))


def _protected(
    store: Store, corpora: Mapping[str, str], tasks: Mapping[str, TaskSource], tokenizer: Tokenizer
) -> list[ProtectedPassage]:
    protected: list[ProtectedPassage] = []
    for leaf in sorted(corpora):
        protected += heldout_passages(leaf, open_corpus(store, corpora[leaf], tokenizer.dtype), tokenizer.eos)
    for task in sorted(tasks):
        protected += task_passages(task, tasks[task], tokenizer)
    return protected


def _by_source(index: PieceIndex, passages: Iterable[int]) -> dict[str, int]:
    """{source: different passages of it}."""
    counts = Counter(source for number in passages for source in index.sources[number])
    return dict(sorted(counts.items()))
