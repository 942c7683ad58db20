"""Which rows of the ledger a mix can learn from, and why it cannot from the others.

Evidence pools only where it speaks of the same thing: proxies of the same recipe and tokenizer, measured on at least
one of the tasks by the evaluation of today (or elsewhere, and imported as such), that trained on some of the content
that the mix knows. Content that it does not know is a column of the law like that of a removed leaf.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from olmix_core.evidence.merge import COLUMNS, MergedEvidence, merge
from olmix_core.evidence.rows import NOT_OURS

# What `choose` needs of the ledger.
NEEDED = (*COLUMNS, "recipe_key", "tokenizer", "evaluation", "imported")

RECIPE = "another recipe"
TOKENIZER = "another tokenizer"
EVALUATION = "measured by another version of the evaluation"
TASKS = "no task in common"
CONTENT = "no content in common"


@dataclass(frozen=True)
class Requirements:
    """What rows must be like; `evaluation` is the code_version of the evaluation of today."""

    recipe_key: str
    tokenizer: str
    evaluation: int
    tasks: Collection[str]
    contents: Collection[str]


@dataclass(frozen=True)
class Choice:
    """The evidence that is usable, and the number of proxies that are left out, by reason."""

    usable: MergedEvidence
    left_out: Mapping[str, int]


def select_compatible(table: pa.Table, wanted: Requirements) -> Choice:
    """Choose from rows of the ledger, at least its columns NEEDED. A proxy left out counts under its first reason."""
    everything = merge(table)
    reasons = np.full(len(everything), "", dtype=object)

    def require(reason: str, met: np.ndarray) -> None:
        reasons[(reasons == "") & ~met] = reason

    require(RECIPE, _equal(everything, "recipe_key", wanted.recipe_key))
    require(TOKENIZER, _equal(everything, "tokenizer", wanted.tokenizer))
    rows = of_today(table, wanted.evaluation)
    measured = np.zeros(len(everything), dtype=bool)
    measured[everything.run_of_row[rows]] = True
    require(EVALUATION, measured)
    # Of a proxy that was measured by several versions, only what is of today says which tasks it knows.
    today = merge(table.filter(pa.array(rows)))
    place = np.flatnonzero(measured)  # both are ordered by proxy
    for reason, found in (
        (TASKS, today.bpb.runs_with(wanted.tasks, len(today))),
        (CONTENT, today.weights.runs_with(wanted.contents, len(today))),
    ):
        met = np.ones(len(everything), dtype=bool)
        met[place] = found
        require(reason, met)
    usable = today.rows((reasons == "")[place])
    left_out = Counter(reasons[reasons != ""].tolist())
    return Choice(merge(usable), dict(sorted(left_out.items())))


def describe_exclusions(left_out: Mapping[str, int]) -> str:
    """The reasons in words."""
    return ", ".join(f"{count} ({reason})" for reason, count in left_out.items())


def of_today(table: pa.Table, evaluation: int) -> np.ndarray:
    """[N] rows measured by the evaluation of today, or imported."""
    versions = table["evaluation"].to_numpy()
    found: np.ndarray = (versions == evaluation) | (versions == NOT_OURS)
    return found


def _equal(evidence: MergedEvidence, column: str, value: str) -> np.ndarray:
    found: np.ndarray = pc.equal(evidence.column(column), value).to_numpy(zero_copy_only=False)
    return found
