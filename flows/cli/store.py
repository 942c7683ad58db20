"""The commands `olmix store ...`: is everything in it whole, and what can go."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

store_app = typer.Typer(no_args_is_help=True, help="Check a store, mend it, and remove what nothing refers to.")
console = Console(highlight=False)

StoreOption = Annotated[str, typer.Option("--store", help="The store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

SHOWN = 50  # lines of a table; --json has them all
MEANING = {
    "set aside": "--repair moves it to damaged/; the next run makes it anew",
    "remove": "--repair removes it; the next run makes it anew",
    "rebuild": "--repair makes it point to the newest version",
    "run again": "the next run makes it anew",
    "collect": "olmix store gc removes it",
    "none": "restore it from a copy",
}


@store_app.command("check")
def check_(
    store: StoreOption = ".olmix",
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be made anew.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the whole store: is every file what was written, and is everything there that is referred to?

    Exits with 1 while something is damaged or missing.
    """
    from olmix_core.mixes.audit import check, repair
    from olmix_core.storage.store import Store

    opened = Store(store)
    with _watched(as_json) as progress:
        findings = check(opened, progress)
    if mend:
        findings = repair(opened, findings)
    harm = [one for one in findings if one.is_harm]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], indent=1))
    elif findings:
        console.print(_table(findings))
        _more(len(findings))
    if not as_json:
        words = "is whole" if not harm else f"has {len(harm)} files that are damaged or missing"
        console.print(f"[bold]{store}[/bold] {words}", soft_wrap=True)
    if harm:
        raise typer.Exit(1)


@store_app.command("gc")
def gc_(
    store: StoreOption = ".olmix",
    days: Annotated[float, typer.Option("--days", min=0, help="Keep what was written in the last DAYS.")] = 7.0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this it is only listed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what no mix and no evidence refers to; with --delete, remove it."""
    from olmix_core.formatting import amount
    from olmix_core.mixes.gc import garbage
    from olmix_core.storage.layout import CACHE_FOLDER
    from olmix_core.storage.store import Store

    opened = Store(store)
    found = garbage(opened, days)
    if delete:
        for path in found:
            opened.remove(path)
    if as_json:
        typer.echo(json.dumps([{"path": path, "bytes": size} for path, size in sorted(found.items())], indent=1))
        return
    table = Table("folder", "files", "bytes", box=None, header_style="bold", padding=(0, 2, 0, 0))
    folders: dict[str, list[int]] = {}
    for path, size in found.items():
        parts = path.split("/")
        folders.setdefault("/".join(parts[: 2 if parts[0] == CACHE_FOLDER else 1]), []).append(size)
    for folder, sizes in sorted(folders.items()):
        table.add_row(Text(folder), f"{len(sizes):,}", f"{sum(sizes):,}")
    if found:
        console.print(table)
    what = "removed" if delete else "can go (--delete removes them)" if found else "can go"
    console.print(f"{len(found):,} files of {amount(sum(found.values()))} bytes {what}")


@contextmanager
def _watched(quiet: bool) -> Iterator[Any]:
    """A bar on a terminal; nothing elsewhere."""
    if quiet or not console.is_terminal:
        yield lambda done, of: None
        return
    with Progress(TextColumn("checking"), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("checking")
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _table(findings: list[Any]) -> Table:
    table = Table("file", "is", "because", "what to do", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for one in findings[:SHOWN]:
        style = "red" if one.is_harm else "dim"
        table.add_row(Text(one.path, overflow="fold"), Text(one.kind, style), Text(one.what), Text(MEANING[one.remedy]))
    return table


def _more(count: int) -> None:
    if count > SHOWN:
        console.print(f"... and {count - SHOWN:,} more (--json lists all)")
