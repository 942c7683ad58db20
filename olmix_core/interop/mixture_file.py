"""Read a mixture from a file: CSV with the columns `domain` and `weight`, such as mix.csv, or JSON {domain: weight}."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from olmix_core.errors import DataError


def read_mixture(path: Path) -> dict[str, float]:
    """Read a mixture.

    Args:
        path: The file; its suffix .json selects JSON.

    Returns:
        {label: weight}. Labels and weights are validated by `PublishedMix.vector`.

    Raises:
        DataError: If the file cannot be read, or names a domain twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}; expected a mixture as CSV or JSON"
        ) from error
    pairs = _from_json(path, content) if path.suffix == ".json" else _from_csv(path, content)
    mixture: dict[str, float] = {}
    for label, weight in pairs:
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
        pairs = json.loads(content, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({error}); expected {{domain: weight}}") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise DataError(f"{path}: found {type(pairs).__name__}; expected {{domain: weight}}")
    return [(str(label), weight) for label, weight in pairs]


def _from_csv(path: Path, content: bytes) -> list[tuple[str, Any]]:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not CSV ({error}); expected the columns domain and weight") from error
    missing = [name for name in ("domain", "weight") if name not in table]
    if missing:
        columns = ", ".join(map(str, table.columns))
        raise DataError(f"{path}: found the columns {columns}; expected a column {missing[0]}")
    return list(zip(table["domain"], table["weight"], strict=True))
