"""Step `overlap`: one per domain set. Key: the leaves, the tokenizer, and the tasks that have documents.

What is held out of one leaf may stand in any other, so that a change of one leaf is a reason to look through all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.data.overlap import Overlap, find_overlap
from olmix_core.data.overlap.remarks import overlap_remarks
from olmix_core.data.tasks import TaskSource
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.report.markdown import table
from olmix_core.serialization import INLINE, JsonRecord
from olmix_core.storage.layout import exclusion_path, tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.payload import DATA, EVAL, cause, result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class OverlapPayload(JsonRecord):
    """What is compared.

    Attributes:
        leaves: Fingerprints of the leaves, sorted.
        tokenizer: Fingerprint of the tokenizer.
        tasks: Fingerprints of the tasks that have documents, sorted.
    """

    leaves: Sequence[str] = field(metadata=cause(DATA))
    tokenizer: str = field(metadata=result_of("tokenizer"))
    tasks: Sequence[str] = field(metadata=cause(EVAL))


@dataclass(frozen=True)
class OverlapResult(JsonRecord):
    """What was found, and the files that list passages."""

    overlap: Overlap = field(metadata=INLINE)
    files: dict[str, str | None]


def _forecast(payload: OverlapPayload, _key: str, where: Where) -> OverlapResult:
    earlier = where["earlier"]
    assert isinstance(earlier, Overlap)
    return OverlapResult(earlier.restricted(payload.leaves), {})


def _describe(done: Sequence[Done[OverlapPayload, OverlapResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    overlap = outcome.result.overlap
    rows = [
        {
            "domain": artifacts.label(leaf),
            "documents": f"{found.documents:,}",
            "copies": f"{found.copies:,}",
            "passages not trained on": f"{found.passages:,}",
            "their tokens": f"{found.tokens:,}",
        }
        for leaf, found in sorted(overlap.leaves.items(), key=lambda item: artifacts.label(item[0]))
    ]
    labels = {name: artifacts.label(name) for name in (*overlap.leaves, *overlap.protected)}
    summary = f"{sum(overlap.protected.values()):,} passages of held-out text and of tasks looked for in all domains."
    return [summary, "", *table(rows), "", *(f"- {remark}" for remark in overlap_remarks(overlap, labels))]


@step(
    "overlap",
    1,
    title="look for held-out text in all domains",
    after="statistics",
    payload=OverlapPayload,
    result=OverlapResult,
    weight=0.5,
    forecast=_forecast,
    artifact=_describe,
)
def overlap(
    payload: OverlapPayload,
    store: Store,
    *,
    corpora: Mapping[str, str],
    tasks: Mapping[str, TaskSource],
    earlier: Overlap,  # noqa: ARG001 - for the dry run
) -> OverlapResult:
    """Look for held-out text and text of tasks in all leaves, and count documents that stand twice.

    Args:
        payload: What is compared.
        store: The store.
        corpora: {leaf: folder of its tokens}.
        tasks: {task: where its documents are}.
        earlier: What the last version found, by which a dry run predicts.

    Returns:
        What was found.
    """
    tokenizer = Tokenizer.from_json(store.read_json(tokenizer_path(payload.tokenizer)))
    found = find_overlap(store, corpora, tasks, tokenizer)
    return OverlapResult(found, {exclusion_path(name): None for name in found.lists})
