"""Compatibility filter: the rows of the ledger that a mix can learn from, and why the others are excluded.

A proxy is compatible if it has the same recipe and tokenizer, was measured on at least one of the tasks by the current
evaluation (or elsewhere, and imported as such), and trained on some of the content that the mix knows, but on no text
of the tasks that it was measured on. Content that the mix does not know becomes a column of the law, like a removed
leaf.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from olmix_core.evidence.merge import COLUMNS, MergedEvidence, merge
from olmix_core.evidence.rows import NOT_OURS
from olmix_core.evidence.task_text import NO_TASK_TEXT, TaskText

# Columns of the ledger that `select_compatible` reads.
NEEDED = (*COLUMNS, "recipe_key", "tokenizer", "evaluation", "imported")

RECIPE = "another recipe"
TOKENIZER = "another tokenizer"
EVALUATION = "measured by another version of the evaluation"
TASKS = "no task in common"
CONTENT = "no content in common"
TASK_TEXT = "trained on text of a task"


@dataclass(frozen=True)
class Requirements:
    """The requirements on compatible rows.

    Attributes:
        recipe_key: Identity of the recipe (`rows.recipe_key`).
        tokenizer: Fingerprint of the tokenizer.
        evaluation: Code_version of the current evaluation.
        tasks: Fingerprints of the tasks, of which one is enough.
        contents: Fingerprints of content, of which one is enough.
        task_text: Text of the tasks in the content, of which a proxy may have trained on none.
    """

    recipe_key: str
    tokenizer: str
    evaluation: int
    tasks: Collection[str]
    contents: Collection[str]
    task_text: TaskText = NO_TASK_TEXT


@dataclass(frozen=True)
class CompatibleEvidence:
    """Evidence that meets the requirements.

    Attributes:
        usable: The compatible proxies.
        left_out: {reason: number of proxies left out}.
    """

    usable: MergedEvidence
    left_out: Mapping[str, int]


def select_compatible(table: pa.Table, requirements: Requirements) -> CompatibleEvidence:
    """Select the compatible rows of the ledger.

    Args:
        table: Rows of the ledger with at least the columns `NEEDED`.
        requirements: The requirements.

    Returns:
        The compatible evidence; a proxy that is left out counts under its first reason.
    """
    everything = merge(table)
    reasons = np.full(len(everything), "", dtype=object)

    def require(reason: str, met: NDArray[np.bool_]) -> None:
        reasons[(reasons == "") & ~met] = reason

    require(RECIPE, _equal(everything, "recipe_key", requirements.recipe_key))
    require(TOKENIZER, _equal(everything, "tokenizer", requirements.tokenizer))
    rows = measured_currently(table, requirements.evaluation)
    measured = np.zeros(len(everything), dtype=bool)
    measured[everything.run_of_row[rows]] = True
    require(EVALUATION, measured)
    # Of a proxy that was measured by several versions of the evaluation, only the current rows count for its tasks.
    current = merge(table.filter(pa.array(rows)))
    place = np.flatnonzero(measured)  # both are ordered by proxy
    for reason, fulfilled in (
        (TASKS, current.bpb.runs_with(requirements.tasks, len(current))),
        (CONTENT, current.weights.runs_with(requirements.contents, len(current))),
    ):
        met = np.ones(len(everything), dtype=bool)
        met[place] = fulfilled
        require(reason, met)
    spoiled = np.zeros(len(everything), dtype=bool)
    spoiled[place] = _spoiled(current, requirements.task_text)
    require(TASK_TEXT, ~spoiled)
    usable = current.rows((reasons == "")[place])
    left_out = Counter(reasons[reasons != ""].tolist())
    return CompatibleEvidence(merge(usable), dict(sorted(left_out.items())))


def describe_exclusions(left_out: Mapping[str, int]) -> str:
    """Format the exclusion counts as one line.

    Args:
        left_out: {reason: number of proxies}.

    Returns:
        The line.
    """
    return ", ".join(f"{count} ({reason})" for reason, count in left_out.items())


def measured_currently(table: pa.Table, evaluation: int) -> NDArray[np.bool_]:
    """Find the rows that were measured by the current evaluation, or imported.

    Args:
        table: N rows of the ledger.
        evaluation: Code_version of the current evaluation.

    Returns:
        Mask of the rows, shape [N].
    """
    versions = table["evaluation"].to_numpy()
    mask: NDArray[np.bool_] = (versions == evaluation) | (versions == NOT_OURS)
    return mask


def _spoiled(evidence: MergedEvidence, task_text: TaskText) -> NDArray[np.bool_]:
    """Mask of the proxies that were measured on text that they trained on."""
    leaves = {passages.leaf for held in task_text.holders.values() for passages in held}
    runs = len(evidence)
    suspects = evidence.bpb.runs_with(task_text.holders, runs) & evidence.weights.runs_with(leaves, runs)
    rows = evidence.rows(suspects).select(["proxy", "mixture", "bpb"]).to_pylist()
    spoiled = {row["proxy"] for row in rows if task_text.spoils(row["proxy"], dict(row["mixture"]), dict(row["bpb"]))}
    return np.array([proxy in spoiled for proxy in evidence.proxies], dtype=bool)


def _equal(evidence: MergedEvidence, column: str, value: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = pc.equal(evidence.column(column), value).to_numpy(zero_copy_only=False)
    return mask
