"""Evidence as the CSV pair of the published tool, with a map to read it back.

    ratios.csv     a row per proxy, a column per leaf
    metrics.csv    a row per proxy, a column per task; empty where it was not measured
    map.yaml       content and tasks of the columns (see `import_map`)

Columns are named by the latest labels of leaves and tasks; where two share a label, the beginning of the fingerprint
is appended.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.errors import DataError
from olmix_core.evidence.merge import MergedEvidence, labels_in
from olmix_core.evidence.rows import from_table
from olmix_core.interop.csv_table import is_value
from olmix_core.interop.labels import stripped
from olmix_core.interop.metric_units import suspects

_OPTIONS = {"recipe_key": "--recipe", "tokenizer": "--tokenizer"}


def csv_pair(evidence: MergedEvidence) -> dict[str, bytes]:
    """Render evidence as ratios.csv, metrics.csv and map.yaml.

    Args:
        evidence: Evidence of one recipe and one tokenizer, which two CSV files cannot tell apart.

    Returns:
        Content by name of the file.

    Raises:
        DataError: If there are several recipes or tokenizers.
    """
    for name, option in _OPTIONS.items():
        values = Counter(evidence.column(name).to_pylist())
        if len(values) > 1:
            counts = ", ".join(f"{value[:12]} ({count} proxies)" for value, count in values.most_common())
            raise DataError(
                f"found {len(values)} values of {name}: {counts}; expected one, since two CSV files cannot tell them"
                f" apart: choose with {option}, or export parquet or JSON"
            )
    labels = labels_in(evidence.table)
    leaves, tasks = (
        sorted(fingerprints, key=lambda fingerprint: (labels.get(fingerprint, fingerprint), fingerprint))
        for fingerprints in (evidence.contents(), evidence.bpb.names)
    )
    problem = evidence.problem(leaves, {}, tasks)
    swarm_of = dict(zip(evidence.proxies, evidence.swarms, strict=True))
    identification = {
        "run": _shortened(problem.runs),
        "name": [f"{swarm_of[proxy][:12]}-{number:04d}" for number, proxy in enumerate(problem.runs)],
        "index": range(len(problem.runs)),
    }
    leaf_names, task_names = _column_names(leaves, labels), _column_names(tasks, labels)
    ratios = pd.DataFrame({**identification, **dict(zip(leaf_names, problem.X.T, strict=True))})
    metrics = pd.DataFrame({**identification, **dict(zip(task_names, problem.Y.T, strict=True))})
    first = from_table(evidence.table.slice(int(evidence.first_row[0]), 1))[0]
    misleading = suspects(metrics[task_names])
    import_map = {
        "name": "exported",
        "recipe": _recipe(first.recipe),
        "tokenizer": {"fingerprint": first.tokenizer},
        "domains": {name: {"fingerprint": leaf} for name, leaf in zip(leaf_names, leaves, strict=True)},
        "tasks": {name: {"fingerprint": task} for name, task in zip(task_names, tasks, strict=True)},
        **({"metrics": {name: {"as": "bits_per_byte"} for name in misleading}} if misleading else {}),
    }
    return {
        "ratios.csv": _csv(ratios),
        "metrics.csv": _csv(metrics),
        "map.yaml": yaml.safe_dump(import_map, sort_keys=False, allow_unicode=True).encode(),
    }


def _csv(table: pd.DataFrame) -> bytes:
    content = io.StringIO()
    table.to_csv(content, index=False, lineterminator="\n")  # floats as short as they come back exactly
    return content.getvalue().encode()


def _shortened(keys: Sequence[str]) -> list[str]:
    """The keys, cut as far as they stay different."""
    length = next(length for length in (8, 16, 32, 64) if len({key[:length] for key in keys}) == len(keys))
    return [key[:length] for key in keys]


def _column_names(fingerprints: Sequence[str], labels: Mapping[str, str]) -> list[str]:
    """A column name for each fingerprint, no two alike and none that `csv_table` would leave out."""
    names = [stripped(labels.get(fingerprint, fingerprint[:12])) for fingerprint in fingerprints]
    count = Counter(names)
    return [
        f"{name} ({fingerprint[:12]})" if count[name] > 1 or not is_value(name) else name
        for name, fingerprint in zip(names, fingerprints, strict=True)
    ]


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as a map has it."""
    try:
        ProxyRecipe.model_validate(recipe)
    except ValidationError:
        size = {name: recipe[name] for name in ("parameters", "tokens") if "declared" in recipe and name in recipe}
        return {"declared": str(recipe.get("declared", json.dumps(recipe, sort_keys=True))), **size}
    return {"proxy": dict(recipe)}
