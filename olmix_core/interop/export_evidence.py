"""Evidence for others: the CSV pair of the published tool with a map to read it back, parquet, or JSON.

    ratios.csv     a row per proxy, a column per leaf
    metrics.csv    a row per proxy, a column per task; empty where it was not measured
    map.yaml       what the columns are (see `import_map`)

Columns are called as leaves and tasks were called last; where two share a name, the beginning of the fingerprint tells
them apart.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml
from pydantic import ValidationError

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.errors import DataError
from olmix_core.evidence.ledger import WRITING
from olmix_core.evidence.merge import MergedEvidence, labels_in
from olmix_core.evidence.rows import from_table
from olmix_core.interop.swarm_csv import IDS
from olmix_core.storage.store import Store

FORMATS = ("csv", "parquet", "json")
TAKEN = {*IDS, "name", "index"}  # columns that mean something else in the files


def export(evidence: MergedEvidence, folder: Path, kind: str) -> list[str]:
    """Write evidence, with all columns of the ledger, to `folder`; files of these names are replaced.

    Returns the names of the files. Raises DataError where one CSV pair cannot hold it.
    """
    store = Store(str(folder.resolve()))
    if kind == "parquet":
        with store.new_file("evidence.parquet") as temporary:
            pq.write_table(evidence.table.sort_by([("proxy", "ascending"), ("row", "ascending")]), temporary, **WRITING)
        return ["evidence.parquet"]
    if kind == "json":
        store.write_bytes("evidence.json", json.dumps(_records(evidence), indent=1, allow_nan=False).encode())
        return ["evidence.json"]
    files = _csv(evidence)
    for name, content in files.items():
        store.write_bytes(name, content)
    return list(files)


def _records(evidence: MergedEvidence) -> list[dict[str, Any]]:
    """A record per row of the ledger, columns as in docs/store.md."""
    rows = from_table(evidence.table)
    return [
        {
            "row": row.id,
            **{field.name: getattr(row, field.name) for field in fields(row)},
            "recorded": row.recorded.isoformat(),
        }
        for row in sorted(rows, key=lambda row: (row.proxy, row.id))
    ]


def _csv(evidence: MergedEvidence) -> dict[str, bytes]:
    for name in ("recipe_key", "tokenizer"):
        values = Counter(evidence.column(name).to_pylist())
        if len(values) > 1:
            option = "--recipe" if name == "recipe_key" else "--tokenizer"
            found = ", ".join(f"{value[:12]} ({count} proxies)" for value, count in values.most_common())
            raise DataError(
                f"found {len(values)} values of {name}: {found}; expected one, since two CSV files cannot tell them"
                f" apart: choose with {option}, or export parquet or JSON"
            )
    labels = labels_in(evidence.table)
    leaves, tasks = (
        sorted(known, key=lambda one: (labels.get(one, one), one))
        for known in (evidence.contents(), evidence.bpb.names)
    )
    problem = evidence.problem(leaves, {}, tasks)
    runs, index = _short(problem.runs), {proxy: k for k, proxy in enumerate(evidence.proxies)}
    about = {
        "run": runs,
        "name": [f"{evidence.swarms[index[proxy]][:12]}-{number:04d}" for number, proxy in enumerate(problem.runs)],
        "index": range(len(runs)),
    }
    of_leaves, of_tasks = _names(leaves, labels), _names(tasks, labels)
    ratios = pd.DataFrame({**about, **dict(zip(of_leaves, problem.X.T, strict=True))})
    metrics = pd.DataFrame({**about, **dict(zip(of_tasks, problem.Y.T, strict=True))})
    first = from_table(evidence.table.slice(int(evidence.first_row[0]), 1))[0]
    described = {
        "name": "exported",
        "recipe": _recipe(first.recipe),
        "tokenizer": {"fingerprint": first.tokenizer},
        "domains": {name: {"fingerprint": leaf} for name, leaf in zip(of_leaves, leaves, strict=True)},
        "tasks": {name: {"fingerprint": task} for name, task in zip(of_tasks, tasks, strict=True)},
    }
    return {
        "ratios.csv": _text(ratios),
        "metrics.csv": _text(metrics),
        "map.yaml": yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode(),
    }


def _text(table: pd.DataFrame) -> bytes:
    content = io.StringIO()
    table.to_csv(content, index=False, lineterminator="\n")  # floats as short as they come back exactly
    return content.getvalue().encode()


def _short(keys: Sequence[str]) -> list[str]:
    """The keys, cut as far as they stay different."""
    length = next(length for length in (8, 16, 32, 64) if len({key[:length] for key in keys}) == len(keys))
    return [key[:length] for key in keys]


def _names(fingerprints: Sequence[str], labels: Mapping[str, str]) -> list[str]:
    """A column name for each, no two alike."""
    plain = [labels.get(one, one[:12]).strip() for one in fingerprints]
    count = Counter(plain)
    return [
        f"{name} ({one[:12]})" if count[name] > 1 or name in TAKEN or not name or name.startswith("Unnamed:") else name
        for name, one in zip(plain, fingerprints, strict=True)
    ]


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as a map has it."""
    try:
        ProxyRecipe.model_validate(recipe)
    except ValidationError:
        return {"declared": str(recipe.get("declared", json.dumps(recipe, sort_keys=True)))}
    return {"proxy": dict(recipe)}
