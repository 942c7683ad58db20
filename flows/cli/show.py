"""The commands `olmix show` and `olmix trade-offs`: a published mixture, and what other requirements would give."""

from typing import TYPE_CHECKING, Any

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, MixName, MixStoreOption, VersionOption

if TYPE_CHECKING:
    from rich.console import Group

    from olmix_core.mixes.record import MixRecord
    from olmix_core.storage.store import Store

TASK_COLUMNS = ("name", "weight", "natural", "previous", "proposed")


def show(
    name: MixName = None,
    store_url: MixStoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the current mixture."""
    from flows.cli.locate import store_and_name
    from olmix_core.mixes.record import read_mix

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
    """Show what a weaker or stronger pull, more or fewer epochs, or another length of the run would give."""
    from flows.cli.locate import store_and_name
    from flows.cli.views import trade_offs_view
    from olmix_core.mixes.record import read_mix
    from olmix_core.mixes.tables import read_trade_offs

    store, mix_name = store_and_name(name, store_url)
    rows = read_trade_offs(store, read_mix(store, mix_name, version))
    if as_json:
        print_json(rows)
    else:
        console.print(trade_offs_view(rows))


def view_of(store: "Store", record: "MixRecord") -> "Group":
    """Make the view of a published mix.

    Args:
        store: Its store.
        record: The record of the version.

    Returns:
        The view.
    """
    from flows.cli.live import mix_view

    folder, rows = _mixture(store, record)
    return mix_view(record, rows, folder)


def _json_of(store: "Store", record: "MixRecord") -> dict[str, Any]:
    """The published mix as docs/schemas/show.json describes it."""
    folder, rows = _mixture(store, record)
    fields, tasks = record.to_json(), [task.to_json() for task in record.tasks]
    return {
        **{name: fields[name] for name in ("name", "version", "parent", "created")},
        "folder": folder,
        "target_tokens": record.target_tokens,
        "mixture": [{name: None if value != value else value for name, value in row.items()} for row in rows],
        "tasks": [{name: task[name] for name in TASK_COLUMNS if name in task} for task in tasks],
        **{name: fields[name] for name in ("predicted", "gain", "proxies", "flags", "notes")},
    }


def _mixture(store: "Store", record: "MixRecord") -> tuple[str, list[dict[str, Any]]]:
    """URL of the folder of a published mix, and the rows of its mix.csv."""
    from olmix_core.mixes.tables import read_table
    from olmix_core.storage.layout import TABLE_FILE, version_folder

    folder = version_folder(record.name, record.version)
    rows: list[Any] = read_table(store.read_bytes(f"{folder}/{TABLE_FILE}")).to_dict("records")
    return f"{store.url}/{folder}", rows
