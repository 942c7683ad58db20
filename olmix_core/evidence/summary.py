"""The ledger at a glance: which swarms are on record, of which mix and recipe, and how much they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.evidence.merge import COLUMNS, MergedEvidence

# What `overview` and `select` need of the ledger.
NEEDED = (*COLUMNS, "recipe_key", "tokenizer", "source", "imported", "tokens")
GROUP = ("swarm", "source", "recipe", "tokenizer", "imported")


@dataclass(frozen=True)
class Filters:
    """Which proxies are meant: the beginnings of their swarm, recipe and tokenizer; source is NAME or NAME@VERSION."""

    swarm: str = ""
    source: str = ""
    recipe: str = ""
    tokenizer: str = ""

    def given(self) -> Mapping[str, str]:
        return {name: value for name, value in vars(self).items() if value}


def select(evidence: MergedEvidence, filters: Filters) -> np.ndarray:
    """[K] which of the proxies the filters mean."""
    found = np.ones(len(evidence), dtype=bool)
    for name, begin in filters.given().items():
        values = evidence.column("recipe_key" if name == "recipe" else name).to_pylist()
        if name == "source":
            met = [value == begin or value.partition("@")[0] == begin for value in values]
        else:
            met = [value.startswith(begin) for value in values]
        found &= np.array(met, dtype=bool)
    return found


def overview(evidence: MergedEvidence) -> list[dict[str, Any]]:
    """A record per swarm, source, recipe and tokenizer, oldest first.

    {swarm, source, recipe, tokenizer, imported, proxies, domains, tasks, tokens, recorded}: numbers of proxies, of
    leaves that they trained on and of tasks that they were measured on; tokens trained on in all (null where a proxy's
    are not known); time of the first record.
    """
    if not len(evidence):
        return []
    frame = pd.DataFrame({name: evidence.column("recipe_key" if name == "recipe" else name) for name in GROUP})
    frame["tokens"] = evidence.column("tokens").to_numpy(zero_copy_only=False)
    frame["recorded"] = evidence.column("recorded").to_numpy(zero_copy_only=False)
    groups = frame.groupby(list(GROUP), sort=False)
    number = groups.ngroup().to_numpy()
    found = groups.agg(
        proxies=("tokens", "size"),
        tokens=("tokens", lambda tokens: tokens.sum(skipna=False)),
        recorded=("recorded", "min"),
    ).reset_index()
    for name, cells in (("domains", evidence.weights), ("tasks", evidence.bpb)):
        pairs = np.unique(np.stack([number[cells.run], cells.name]), axis=1)[0]
        found[name] = np.bincount(pairs, minlength=len(found))
    found = found.sort_values(["recorded", *GROUP], kind="stable")
    return [
        {
            **{name: record[name] for name in GROUP},
            **{name: int(record[name]) for name in ("proxies", "domains", "tasks")},
            "tokens": None if pd.isna(record["tokens"]) else int(record["tokens"]),
            "recorded": record["recorded"].isoformat(timespec="seconds") + "Z",
        }
        for record in found.to_dict("records")
    ]
