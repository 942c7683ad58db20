"""A mixture in a file of its own: CSV with the columns `domain` and `weight` (others are left out; mix.csv is one), or
JSON {domain: weight}.
"""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from olmix_core.errors import DataError


def read_mixture(path: Path) -> dict[str, float]:
    """{label: weight} from the file. Raises DataError; whether the labels are known and the weights a mixture is
    `PublishedMix.vector`'s to say.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}; expected a mixture as CSV or JSON"
        ) from error
    given = _from_json(path, content) if path.suffix == ".json" else _from_csv(path, content)
    mixture: dict[str, float] = {}
    for label, weight in given:
        if label in mixture:
            raise DataError(f"{path}: found the domain {label!r} twice; expected each once")
        try:
            mixture[label] = float(weight)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {label}: found the weight {weight!r}; expected a number") from error
    if not mixture:
        raise DataError(f"{path}: found no domain; expected a weight for each domain that has one")
    return mixture


def _from_json(path: Path, content: bytes) -> list[tuple[str, Any]]:
    try:
        found = json.loads(content, object_pairs_hook=list)
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}); expected {{domain: weight}}") from error
    if not isinstance(found, list) or not all(isinstance(pair, tuple) for pair in found):
        raise DataError(f"{path}: found {type(found).__name__}; expected {{domain: weight}}")
    return [(str(label), weight) for label, weight in found]


def _from_csv(path: Path, content: bytes) -> list[tuple[str, Any]]:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not CSV ({error}); expected the columns domain and weight") from error
    missing = [name for name in ("domain", "weight") if name not in table]
    if missing:
        found = ", ".join(map(str, table.columns))
        raise DataError(f"{path}: found the columns {found}; expected a column {missing[0]}")
    return list(zip(table["domain"], table["weight"], strict=True))
