"""The record of a published mix: everything that a person or a later update needs to know about it.

    mixes/<name>/<version>/    mix.json, mix.csv, surrogate.json, diagnostics.csv, trade_offs.csv, plan.json,
                               runs.parquet, report.html
    mixes/<name>/latest.json   {"version"}: written last, so that it never points at something half-written

`publishing` writes it; here it is read.
"""

import io
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from olmix_core.errors import StoreError
from olmix_core.storage.layout import (
    MIXES_FOLDER,
    RECORD_FILE,
    TRADE_OFFS_FILE,
    latest_path,
    mix_folder,
    published_versions,
    version_path,
)
from olmix_core.storage.store import Store


def latest_version(store: Store, name: str) -> str | None:
    """The version published last under `name`, or None."""
    try:
        return str(store.read_json(latest_path(name))["version"])
    except FileNotFoundError:
        return None


def read_mix(store: Store, name: str, version: str | None = None) -> dict[str, Any]:
    """mix.json of a version, by default the latest. Raises StoreError where there is none."""
    version = version or latest_version(store, name)
    if version is None:
        known = ", ".join(store.list(MIXES_FOLDER)) or "none"
        raise StoreError(f"{store.url}: found no mix called {name!r}; expected one of: {known}")
    try:
        record = dict(store.read_json(version_path(name, version, RECORD_FILE)))
    except FileNotFoundError as error:
        known = ", ".join(published_versions(store.list(mix_folder(name)))) or "none"
        raise StoreError(f"{store.url}: mix {name!r} has no version {version!r}; expected one of: {known}") from error
    if "pool" not in record:
        raise StoreError(
            f"{store.url}: mix {name!r} {version}: found a record from before evidence was a ledger; expected one that"
            " this version wrote: name another store, where a run begins anew"
        )
    return record


def next_version(store: Store, name: str) -> str:
    """The version that is published next under `name`."""
    return f"v{number_of(latest_version(store, name)) + 1:04d}"


def number_of(version: str | None) -> int:
    """The number in the name of a version, 0 for None. Raises StoreError."""
    match = re.fullmatch(r"v(\d+)", version or "v0")
    if match is None:
        raise StoreError(f"found the mix version {version!r}; expected v and a number")
    return int(match.group(1))


def read_table(content: bytes) -> pd.DataFrame:
    """mix.csv read back."""
    return read_labelled(content, "domain")


def read_labelled(content: bytes, *labels: str) -> pd.DataFrame:
    """A CSV file whose columns `labels` are text whatever they spell (NA, 1e5 ...); an empty number is NaN."""
    columns = pd.read_csv(io.BytesIO(content), nrows=0).columns
    empty = {name: [""] for name in columns if name not in labels}
    return pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(labels, str),
        keep_default_na=False,
        na_values=empty,
    )


def read_trade_offs(store: Store, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of trade_offs.csv of a version; None where a wish cannot be met."""
    content = store.read_bytes(version_path(record["name"], record["version"], TRADE_OFFS_FILE))
    table = pd.read_csv(io.BytesIO(content)).astype(object)
    rows: list[Any] = table.where(table.notna(), None).to_dict("records")
    return rows
