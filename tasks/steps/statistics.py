"""Step `statistics`: one per leaf. Key: the leaf's content and the tokenizer.

The key is `identity.step_key`: the SHA-256 of the canonical JSON of the step's name, its `code_version` and the
payload {content, tokenizer}.

- content: the SHA-256 of the sorted list of [MD5 or ETag, size, reader] of the leaf's files (`data.leaf_files`, called
  by `data.domains.read_domains`; the MD5 is that of `storage.content_index`), where the reader is the format's name
  with the fields that it uses;
- tokenizer: the SHA-256 of its definition and its end-of-document token (`data.tokenizer`).

Labels, paths, the order of files and `sample` are not part of it. `flows.pipeline.pipeline` makes the payload.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from olmix_core.data.corpus import FILES, LeafStatistics
from olmix_core.data.domains import Sample
from olmix_core.data.formats import text_bytes
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.formatting import amount
from olmix_core.report.markdown import table
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import corpus_folder, tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.payload import DATA, Subject, cause, result_of
from tasks.runtime.step import Estimate, step

# Until a tokenizer is known: a small BPE makes about one token of three bytes of text.
BYTES_PER_TOKEN = 3.0


@dataclass(frozen=True)
class StatisticsPayload(JsonRecord):
    """What the statistics of a leaf depend on: the fingerprints of its content and of the tokenizer."""

    content: str = field(metadata=cause(DATA))
    tokenizer: str = field(metadata=result_of("tokenizer"))


@dataclass(frozen=True)
class StatisticsResult(JsonRecord):
    """The statistics of a leaf, and the files of its corpus."""

    statistics: LeafStatistics
    files: dict[str, str | None]


def _forecast(_payload: StatisticsPayload, _key: str, where: Where) -> Estimate[StatisticsResult]:
    size = sum(text_bytes(file.url, file.size) for file in where["files"])
    tokens = max(1, int(size / BYTES_PER_TOKEN))
    return Estimate(StatisticsResult(LeafStatistics(0, size, tokens, heldout_tokens=0, heldout_bytes=size), {}))


def _describe(done: Sequence[Done[StatisticsPayload, StatisticsResult]], _artifacts: Artifacts) -> list[str]:
    represented = [_represented(outcome) for outcome in done]
    total = sum(represented)
    has_samples = any(outcome.where.get("sample") for outcome in done)
    rows = [
        {
            "domain": outcome.where["label"],
            "state": outcome.state,
            "documents": f"{outcome.result.statistics.documents:,}",
            "bytes": f"{outcome.result.statistics.bytes:,}",
            "tokens": f"{outcome.result.statistics.tokens:,}",
            "held out": f"{outcome.result.statistics.heldout_tokens:,}",
            **({"stands for": f"{tokens:,}"} if has_samples else {}),
            "natural share": f"{tokens / total:.4f}",
        }
        for outcome, tokens in zip(done, represented, strict=True)
    ]
    skipped = [
        {"domain": outcome.where["label"], "files that are skipped": outcome.where["skipped"]}
        for outcome in done
        if outcome.where.get("skipped")
    ]
    kind = "tokens that the files stand for" if has_samples else "tokens to train on"
    lines = [f"{amount(total)} {kind} in {len(done)} domains.", "", *table(rows)]
    return [*lines, "", *table(skipped)] if skipped else lines


def _represented(outcome: Done[StatisticsPayload, StatisticsResult]) -> int:
    """Tokens that a leaf stands for."""
    sample, available = outcome.where.get("sample"), outcome.result.statistics.available
    return sample.size(available) if sample else available


@step(
    "statistics",
    2,
    title="tokenise and count the domains",
    after="tokenizer",
    payload=StatisticsPayload,
    result=StatisticsResult,
    weight=0.5,
    forecast=_forecast,
    artifact=_describe,
    subject=Subject("content", is_leaf=True),
)
def statistics(
    payload: StatisticsPayload,
    store: Store,
    *,
    label: str,  # noqa: ARG001 - shown with the task run
    files: Sequence[InputFile],
    skipped: str = "",  # noqa: ARG001 - shown in the artifact
    sample: Sample | None = None,  # noqa: ARG001 - shown in the artifact
) -> StatisticsResult:
    """Tokenise a leaf, hold out a slice of it, and count it.

    Args:
        payload: The leaf and the tokenizer.
        store: The store.
        label: Label of the leaf, to show.
        files: Its input files.
        skipped: Files that are left out of it, to show.
        sample: What its files stand for, to show.

    Returns:
        Its statistics.
    """
    text_tokenizer = Tokenizer.from_json(store.read_json(tokenizer_path(payload.tokenizer)))
    folder = corpus_folder(statistics.key(payload))
    counts = tokenise(list(files), text_tokenizer, store, folder)
    return StatisticsResult(counts, {f"{folder}/{name}": None for name in FILES})
