"""Summary of the ledger: the swarms on record, with their mix and recipe, and their sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from olmix_core.evidence.merge import COLUMNS, MergedEvidence
from olmix_core.serialization import JsonObject, JsonRecord

# Columns of the ledger that `overview` and `select` read.
NEEDED = (*COLUMNS, "recipe_key", "tokenizer", "source", "imported", "tokens")
GROUP = ("swarm", "source", "recipe", "tokenizer", "imported")


@dataclass(frozen=True)
class Filters:
    """Filters on proxies; an empty text matches all.

    Attributes:
        swarm: First characters of the key of the swarm.
        source: NAME or NAME@VERSION of the mix that recorded the proxy, or the imported file.
        recipe: First characters of the identity of the recipe.
        tokenizer: First characters of the fingerprint of the tokenizer.
    """

    swarm: str = ""
    source: str = ""
    recipe: str = ""
    tokenizer: str = ""

    def given(self) -> Mapping[str, str]:
        """Find the filters that are set.

        Returns:
            {field: value}.
        """
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class SwarmSummary(JsonRecord):
    """The proxies of one swarm, source, recipe and tokenizer.

    Attributes:
        swarm: Key of the swarm, or name of an import.
        source: NAME@VERSION of the mix that recorded them, or the imported file.
        recipe: Identity of the recipe.
        tokenizer: Fingerprint of the tokenizer.
        imported: Whether they were trained elsewhere.
        proxies: Number of proxies.
        domains: Number of leaves that they trained on.
        tasks: Number of tasks that they were measured on.
        tokens: Tokens that they trained on, None where those of one are unknown.
        recorded: Time of the first record, UTC, ISO 8601.
    """

    swarm: str
    source: str
    recipe: str
    tokenizer: str
    imported: bool
    proxies: int
    domains: int
    tasks: int
    tokens: int | None
    recorded: str


def select(evidence: MergedEvidence, filters: Filters) -> NDArray[np.bool_]:
    """Find the proxies that pass all filters.

    Args:
        evidence: K proxies.
        filters: The filters.

    Returns:
        Mask of the proxies, shape [K].
    """
    mask = np.ones(len(evidence), dtype=bool)
    for name, prefix in filters.given().items():
        values = evidence.column("recipe_key" if name == "recipe" else name).to_pylist()
        if name == "source":
            passes = [value == prefix or value.partition("@")[0] == prefix for value in values]
        else:
            passes = [value.startswith(prefix) for value in values]
        mask &= np.array(passes, dtype=bool)
    return mask


def overview(evidence: MergedEvidence) -> list[SwarmSummary]:
    """Summarise proxies by swarm, source, recipe and tokenizer.

    Args:
        evidence: The proxies.

    Returns:
        The summaries, oldest first.
    """
    if not len(evidence):
        return []
    frame = pd.DataFrame({name: evidence.column("recipe_key" if name == "recipe" else name) for name in GROUP})
    frame["tokens"] = evidence.column("tokens").to_numpy(zero_copy_only=False)
    frame["recorded"] = evidence.column("recorded").to_numpy(zero_copy_only=False)
    groups = frame.groupby(list(GROUP), sort=False)
    number = groups.ngroup().to_numpy()
    summary = groups.agg(
        proxies=("tokens", "size"),
        tokens=("tokens", lambda tokens: tokens.sum(skipna=False)),
        recorded=("recorded", "min"),
    ).reset_index()
    for name, cells in (("domains", evidence.weights), ("tasks", evidence.bpb)):
        pairs = np.unique(np.stack([number[cells.run], cells.name]), axis=1)[0]
        summary[name] = np.bincount(pairs, minlength=len(summary))
    summary = summary.sort_values(["recorded", *GROUP], kind="stable")
    return [
        SwarmSummary(
            **{name: record[name] for name in GROUP},
            proxies=int(record["proxies"]),
            domains=int(record["domains"]),
            tasks=int(record["tasks"]),
            tokens=None if pd.isna(record["tokens"]) else int(record["tokens"]),
            recorded=record["recorded"].isoformat(timespec="seconds") + "Z",
        )
        for record in cast(list[JsonObject], summary.to_dict("records"))
    ]
