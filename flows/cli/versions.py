"""The commands `olmix diff` and `olmix history`: published versions side by side, and one after another."""

from typing import Annotated

import typer

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, MixName, MixStoreOption, StoreOption


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="NAME, NAME@VERSION, or VERSION if the store holds one mix.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, to compare with.")],
    store_url: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Compare two published mixtures: leaves, weights, settings, evidence."""
    from flows.cli.locate import open_store
    from flows.cli.views import differences_view
    from olmix_core.mixes.history import differences, find_record

    store = open_store(store_url)
    difference = differences(find_record(store, a), find_record(store, b))
    if as_json:
        print_json(difference.to_json())
    else:
        console.print(differences_view(difference))


def history(name: MixName = None, store_url: MixStoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show the versions of a mix: what changed, what it cost, and what full recomputation would have cost."""
    from flows.cli.locate import store_and_name
    from flows.cli.views import history_view
    from olmix_core.mixes.history import read_history

    store, mix_name = store_and_name(name, store_url)
    versions = read_history(store, mix_name)
    if as_json:
        print_json([version.to_json() for version in versions])
    else:
        console.print(history_view(versions))
