"""One CSV file of the published tool: numbers by run id and column.

The column `run` (or `run_id`) identifies a run; `name`, `index` and unnamed columns are left out. White space around
names of columns and run ids is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.errors import DataError
from olmix_core.interop.labels import did_you_mean, listed, look_alikes, stripped

ID_COLUMNS = ("run", "run_id")
LABEL_COLUMNS = (*ID_COLUMNS, "name", "index")  # neither domains nor metrics
_EMPTY = ("", "nan", "na", "n/a", "null", "none")  # cells without a value, in lower case


@dataclass(frozen=True)
class CsvTable:
    """Values by run and column, and remarks.

    Attributes:
        values: A row per run; NaN for an empty cell.
        notes: Remarks on the names of columns, one line each.
    """

    values: pd.DataFrame
    notes: tuple[str, ...]


def read_columns(path: Path) -> list[str]:
    """Read the names of the domains or metrics of a file.

    Args:
        path: A CSV file.

    Returns:
        Names of its columns without those of `LABEL_COLUMNS` and unnamed ones.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it contains no CSV table.
    """
    return [name for name in _header(path) if is_value(name)]


def is_value(name: str) -> bool:
    """Check whether a column contains values of a domain or a metric.

    Args:
        name: Its name.

    Returns:
        False for ids, labels and unnamed columns.
    """
    return bool(name) and name not in LABEL_COLUMNS and not name.startswith("Unnamed:")


def read_table(path: Path, dropped: Sequence[str] | None = None) -> CsvTable:
    """Read a file.

    Args:
        path: A CSV file with a row per run.
        dropped: Columns that may contain anything; None where no column can be dropped.

    Returns:
        Its values and remarks.

    Raises:
        DataError: If the file is no such table, a column or run occurs twice, or a cell is not a number.
    """
    try:
        header = _header(path)
        # The header is read as a row, so that a longer row is an error and never shifts the columns.
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", header=None).iloc[1:]
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: found no CSV table ({reason}); expected a header in the first line and a row per run"
        ) from error
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: found the column {doubled[0]!r} twice; expected each column once")
    ids = next((name for name in ID_COLUMNS if name in header), None)
    if ids is None:
        hint = did_you_mean("run", header) or did_you_mean("run_id", header)
        raise DataError(f"{path}: found the columns {listed(header)}; expected run or run_id among them{hint}")
    table = table.set_axis(header, axis=1)
    if table[ids].isna().any():
        raise DataError(f"{path}: found {int(table[ids].isna().sum())} rows without {ids}; expected an id in each")
    table = table.set_index(table[ids].map(stripped))
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise DataError(f"{path}: column {ids}: found {twice[0]!r} twice; expected each run once")
    table = table.loc[:, [is_value(name) for name in table.columns]]
    if table.empty:
        raise DataError(f"{path}: found no values; expected a column per domain or metric, and a row per run")
    return CsvTable(_numbers(path, table, dropped), tuple(_remarks(path, list(table.columns), list(table.index))))


def _header(path: Path) -> list[str]:
    """Names of the columns; empty for a column without a name."""
    first = pd.read_csv(path, dtype=str, encoding="utf-8-sig", header=None, nrows=1, keep_default_na=False)
    return [stripped(str(cell)) for cell in first.iloc[0]]


def _numbers(path: Path, table: pd.DataFrame, dropped: Sequence[str] | None) -> pd.DataFrame:
    table = table.map(lambda cell: np.nan if isinstance(cell, str) and stripped(cell).lower() in _EMPTY else cell)
    values = pd.DataFrame({name: pd.to_numeric(table[name], errors="coerce") for name in table.columns})
    wrong = (values.isna() & table.notna()).drop(columns=list(dropped or ()), errors="ignore").stack()
    if wrong.any():
        run, name = next(iter(wrong.index[wrong.to_numpy()]))
        value = table[name].to_dict()[run]
        cure = "" if dropped is None else ", or the column among filtering.drop_metrics"
        raise DataError(f"{path}: run {run}, column {name}: found {value!r}; expected a number{cure}")
    return values.astype(np.float64)


def _remarks(path: Path, columns: Sequence[str], runs: Sequence[str]) -> list[str]:
    """Columns or runs that might be meant to be the same."""
    return [
        f"{path.name}: the {kind} {first!r} and {second!r} differ by white space or case only; they count as two"
        for kind, names in (("columns", columns), ("runs", runs))
        for first, second in look_alikes(names, names)
        if first < second
    ]
