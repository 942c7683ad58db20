"""The tables of a mix: CSV files whose labels are text whatever they spell."""

import io

import pandas as pd

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.record import MixRecord
from olmix_core.storage.layout import TRADE_OFFS_FILE, version_path
from olmix_core.storage.store import Store


def read_table(content: bytes) -> pd.DataFrame:
    """Read mix.csv."""
    return read_labelled(content, "domain")


def read_labelled(content: bytes, *labels: str) -> pd.DataFrame:
    """Read a CSV file whose columns `labels` are text (NA, 1e5 ...); an empty number is NaN."""
    columns = pd.read_csv(io.BytesIO(content), nrows=0).columns
    empty = {name: [""] for name in columns if name not in labels}
    return pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(labels, str),
        keep_default_na=False,
        na_values=empty,
    )


def read_trade_offs(store: Store, record: MixRecord) -> list[dict[str, str | float | bool | None]]:
    """Read the rows of trade_offs.csv of a version; None where a request cannot be met."""
    content = store.read_bytes(version_path(record.name, record.version, TRADE_OFFS_FILE))
    table = pd.read_csv(io.BytesIO(content)).astype(object)
    return [
        {str(name): value for name, value in row.items()} for row in table.where(table.notna(), None).to_dict("records")
    ]


def mix_table(draft: MixDraft, previous: MixRecord | None) -> pd.DataFrame:
    """Make mix.csv of a draft: a row per leaf, the heaviest first; `previous` is the version before."""
    before = {} if previous is None else previous.weights_by_content
    rows = []
    for leaf in draft.domains.leaves:
        content = leaf.fingerprint
        weight, natural = draft.proposal["weights"][content], draft.natural[content]
        available = draft.statistics[content].available
        price, settings = draft.proposal["shadow_prices"][content], draft.settings["proposal"]
        sequences = draft.proposal["sequences"][content]
        rows.append(
            {
                "domain": leaf.label,
                "tokens": available,
                "natural": natural,
                "weight": weight,
                "ratio": weight / natural,
                "sequences": sequences,
                "epochs": sequences * settings["sequence_length"] / available,
                "cap": draft.proposal["caps"][content],
                "at_cap": draft.proposal["at_cap"][content],
                # The dual is per unit of weight; 1 % of R is a weight of 0.01.
                "shadow_price": 0.01 * price,
                "per_billion_tokens": price * settings["repetition"] * 1e9 / draft.target_tokens,
                "previous": before.get(content),
            }
        )
    return pd.DataFrame(rows).sort_values(["weight", "domain"], ascending=[False, True])
