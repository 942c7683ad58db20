"""The commands `olmix store ...`: check a store for damage, and remove what is not referred to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption

if TYPE_CHECKING:
    from olmix_core.mixes.audit import Finding

store = typer.Typer(no_args_is_help=True, help="Check and repair a store, and remove unreferenced files.")

MAX_ROWS = 50  # of a table; --json has all findings
REMEDIES = {
    "set aside": "--repair moves it to damaged/; the next run makes it anew",
    "remove": "--repair removes it; the next run makes it anew",
    "rebuild": "--repair makes it point to the newest version",
    "run again": "the next run makes it anew",
    "collect": "olmix store gc removes it",
    "none": "restore it from a copy",
}


@store.command("check")
def check_(
    store_url: StoreOption = DEFAULT_STORE,
    mend: Annotated[bool, typer.Option("--repair", help="Remove damaged files that can be made again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the whole store for damaged, missing, unfinished and unreferenced files.

    Exits with 1 if a file is damaged or missing.
    """
    from olmix_core.mixes.audit import check, repair
    from olmix_core.storage.store import Store

    opened_store = Store(store_url)
    with _progress_bar(as_json) as advance:
        findings = check(opened_store, advance)
    if mend:
        findings = repair(opened_store, findings)
    harm = [finding for finding in findings if finding.is_harm]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    elif findings:
        console.print(_findings_table(findings))
        if len(findings) > MAX_ROWS:
            console.print(f"... and {len(findings) - MAX_ROWS:,} more (--json lists all)")
    if not as_json:
        state = "is whole" if not harm else f"has {len(harm)} files that are damaged or missing"
        console.print(f"[bold]{store_url}[/bold] {state}", soft_wrap=True)
    if harm:
        raise typer.Exit(1)


@store.command("gc")
def gc_(
    store_url: StoreOption = DEFAULT_STORE,
    days: Annotated[float, typer.Option("--days", min=0, help="Keep files written in the last DAYS.")] = 7.0,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove the files; without this they are only listed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List files that no mix and no evidence refers to; with --delete, remove them."""
    from olmix_core.formatting import amount
    from olmix_core.mixes.gc import garbage
    from olmix_core.storage.store import Store

    opened_store = Store(store_url)
    sizes = garbage(opened_store, days)
    if delete:
        for path in sizes:
            opened_store.remove(path)
    if as_json:
        print_json([{"path": path, "bytes": size} for path, size in sorted(sizes.items())])
        return
    if sizes:
        console.print(_garbage_table(sizes))
    state = "removed" if delete else "can go (--delete removes them)" if sizes else "can go"
    console.print(f"{len(sizes):,} files of {amount(sum(sizes.values()))} bytes {state}")


@contextmanager
def _progress_bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; gives the function to call with files done and files in all."""
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    with Progress(TextColumn("checking"), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("checking")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _findings_table(findings: "Sequence[Finding]") -> Table:
    table = Table("file", "is", "because", "what to do", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for finding in findings[:MAX_ROWS]:
        style = "red" if finding.is_harm else "dim"
        table.add_row(
            Text(finding.path, overflow="fold"),
            Text(finding.kind, style),
            Text(finding.what),
            Text(REMEDIES[finding.remedy]),
        )
    return table


def _garbage_table(sizes: Mapping[str, int]) -> Table:
    """Files and bytes by folder."""
    folders: dict[str, list[int]] = {}
    for path, size in sizes.items():
        parts = path.split("/")
        folders.setdefault("/".join(parts[: 2 if parts[0] == "cache" else 1]), []).append(size)
    table = Table("folder", "files", "bytes", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for folder, folder_sizes in sorted(folders.items()):
        table.add_row(Text(folder), f"{len(folder_sizes):,}", f"{sum(folder_sizes):,}")
    return table
