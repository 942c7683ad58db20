"""The tables of a mix: CSV files whose labels are text whatever they spell."""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from olmix_core.data.domains import Leaf
from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.record import MixRecord
from olmix_core.storage.layout import TRADE_OFFS_FILE, version_path
from olmix_core.storage.store import Store


def read_table(content: bytes) -> pd.DataFrame:
    """Read mix.csv.

    Args:
        content: Content of the file.

    Returns:
        A row per leaf.
    """
    return read_labelled(content, "domain")


def read_labelled(content: bytes, *labels: str) -> pd.DataFrame:
    """Read a CSV file some of whose columns are text whatever they spell (NA, 1e5 ...).

    Args:
        content: Content of the file.
        *labels: The columns that are text.

    Returns:
        The table; an empty number is NaN.
    """
    columns = pd.read_csv(io.BytesIO(content), nrows=0).columns
    empty = {name: [""] for name in columns if name not in labels}
    return pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(labels, str),
        keep_default_na=False,
        na_values=empty,
    )


def read_trade_offs(store: Store, record: MixRecord) -> pd.DataFrame:
    """Read trade_offs.csv of a version.

    Args:
        store: The store.
        record: The record of the version.

    Returns:
        A row per value of a setting; NaN where no mixture is possible.
    """
    return read_labelled(store.read_bytes(version_path(record.name, record.version, TRADE_OFFS_FILE)), "parameter")


@dataclass(frozen=True)
class LeafRow:
    """A row of mix.csv, before what follows from it.

    Attributes:
        domain: Label of the leaf.
        tokens: Tokens to train on; of a sample, those that it stands for. NaN where unknown.
        natural: Natural weight.
        weight: Proposed weight.
        sequences: Whole sequences of the run; NaN where its length is unknown.
        cap: Highest weight.
        at_cap: Whether the cap holds the weight down.
        price: Shadow price of the cap, BPB per unit of weight.
        per_billion_tokens: BPB gained per billion more tokens of the leaf.
        previous: Weight in the version before; None where there is none.
        in_files: Tokens to train on in the files of a sample; None for a leaf that is no sample.
    """

    domain: str
    tokens: float
    natural: float
    weight: float
    sequences: float
    cap: float
    at_cap: bool
    price: float
    per_billion_tokens: float
    previous: float | None = None
    in_files: float | None = None


TABLE_COLUMNS = (
    "domain",
    "tokens",
    "natural",
    "weight",
    "ratio",
    "sequences",
    "epochs",
    "cap",
    "at_cap",
    "shadow_price",
    "per_billion_tokens",
    "previous",
)
SAMPLE_COLUMN = "in_files"  # of a table with samples


def make_table(rows: Iterable[LeafRow], sequence_length: int) -> pd.DataFrame:
    """Make mix.csv: a row per leaf, the heaviest first.

    Args:
        rows: The leaves, in any order.
        sequence_length: Tokens of a sequence of the run.

    Returns:
        A table with TABLE_COLUMNS, and SAMPLE_COLUMN where there are samples. `shadow_price` is BPB per 1 % of the
        tokens of the run.
    """
    rows = list(rows)
    columns = [
        (
            row.domain,
            row.tokens,
            row.natural,
            row.weight,
            row.weight / row.natural if row.natural > 0 else math.nan,
            row.sequences,
            row.sequences * sequence_length / row.tokens if row.tokens else math.nan,
            row.cap,
            row.at_cap,
            0.01 * row.price,
            row.per_billion_tokens,
            row.previous,
        )
        for row in rows
    ]
    table = pd.DataFrame(columns, columns=list(TABLE_COLUMNS))
    if any(row.in_files is not None for row in rows):
        table[SAMPLE_COLUMN] = pd.Series([row.in_files for row in rows], dtype=object)
    return table.sort_values(["weight", "domain"], ascending=[False, True], ignore_index=True)


def mix_table(draft: MixDraft, previous: MixRecord | None) -> pd.DataFrame:
    """Make mix.csv of a draft.

    Args:
        draft: The mix.
        previous: The version before, if any.

    Returns:
        A table with TABLE_COLUMNS, and SAMPLE_COLUMN where there are samples.
    """
    weights_before = {} if previous is None else previous.weights_by_content
    proposal, settings = draft.proposal, draft.settings.proposal

    def row(leaf: Leaf) -> LeafRow:
        content = leaf.fingerprint
        price = proposal.shadow_prices[content]
        return LeafRow(
            domain=leaf.label,
            tokens=draft.tokens(leaf),
            natural=draft.natural[content],
            weight=proposal.weights[content],
            sequences=proposal.sequences[content],
            cap=proposal.caps[content],
            at_cap=proposal.at_cap[content],
            price=price,
            per_billion_tokens=price * settings.repetition * 1e9 / proposal.target_tokens,
            previous=weights_before.get(content),
            in_files=None if leaf.sample is None else draft.statistics[content].available,
        )

    return make_table([row(leaf) for leaf in draft.domains.leaves], settings.sequence_length)
