"""The commands `olmix show` and `olmix trade-offs`: a published mixture, and what other requirements would give."""

from typing import TYPE_CHECKING

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, MixName, MixStoreOption, VersionOption

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

    from olmix_core.mixes.record import MixRecord
    from olmix_core.serialization import JsonObject
    from olmix_core.storage.store import Store

TASK_COLUMNS = ("name", "weight", "natural", "previous", "proposed")


def show(
    name: MixName = None,
    store_url: MixStoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a published mixture."""
    from flows.cli.locate import store_and_name
    from olmix_core.mixes.versions import read_mix

    store, mix_name = store_and_name(name, store_url)
    record = read_mix(store, mix_name, version)
    if as_json:
        print_json(_json_of(store, record))
    else:
        console.print(view_of(store, record))


def trade_offs(
    name: MixName = None,
    store_url: MixStoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the predicted gain for other values of kl, repetition and target_tokens."""
    from flows.cli.locate import store_and_name
    from flows.cli.views import trade_offs_view
    from olmix_core.mixes.tables import read_trade_offs
    from olmix_core.mixes.versions import read_mix

    store, mix_name = store_and_name(name, store_url)
    table = read_trade_offs(store, read_mix(store, mix_name, version))
    if as_json:
        print_json(_records(table))
    else:
        console.print(trade_offs_view(table))


def view_of(store: "Store", record: "MixRecord") -> "Group":
    """Make the view of a published mix.

    Args:
        store: Its store.
        record: The record of the version.

    Returns:
        The view.
    """
    from flows.cli.mix_view import mix_view

    folder, table = _mixture(store, record)
    return mix_view(record, table, folder)


def _json_of(store: "Store", record: "MixRecord") -> "JsonObject":
    """The published mix as docs/schemas/show.json describes it."""
    folder, table = _mixture(store, record)
    fields, tasks = record.to_json(), [task.to_json() for task in record.tasks]
    return {
        **{name: fields[name] for name in ("name", "version", "parent", "created")},
        "folder": folder,
        "target_tokens": record.target_tokens,
        "mixture": _records(table),
        "tasks": [{name: task[name] for name in TASK_COLUMNS if name in task} for task in tasks],
        **{
            name: fields[name]
            for name in ("predicted", "gain", "target", "proxies", "flags", "notes")
            if name in fields
        },
    }


def _mixture(store: "Store", record: "MixRecord") -> "tuple[str, pd.DataFrame]":
    """URL of the folder of a published mix, and its mix.csv."""
    from olmix_core.mixes.tables import read_table
    from olmix_core.storage.layout import TABLE_FILE, version_folder

    folder = version_folder(record.name, record.version)
    return f"{store.url}/{folder}", read_table(store.read_bytes(f"{folder}/{TABLE_FILE}"))


def _records(table: "pd.DataFrame") -> "list[JsonObject]":
    """The rows of a table as JSON, with null where a value is missing."""
    values = table.astype(object)
    return values.where(values.notna(), None).to_dict("records")  # type: ignore[return-value]
