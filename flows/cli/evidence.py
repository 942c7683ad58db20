"""The commands `olmix evidence ...`: what is on record of every proxy, by swarm; in, out, and put together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from olmix_core.interop.exporters.evidence import EVIDENCE_EXPORTERS

if TYPE_CHECKING:
    FormatName = str
else:  # so that the help and errors name the formats
    FormatName = Literal[tuple(EVIDENCE_EXPORTERS)]

evidence = typer.Typer(no_args_is_help=True, help="List, export, import and compact what proxies have shown.")
console = Console(highlight=False)

_FORMATS = "; ".join(f"{name}: {exporter.description}" for name, exporter in EVIDENCE_EXPORTERS.items()) + "."

StoreOption = Annotated[str, typer.Option("--store", help="The store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
SwarmOption = Annotated[str, typer.Option("--swarm", help="Only swarms whose name begins so.")]
SourceOption = Annotated[str, typer.Option("--source", help="Only what a mix (NAME or NAME@VERSION) recorded.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="Only recipes whose key begins so.")]
TokenizerOption = Annotated[str, typer.Option("--tokenizer", help="Only tokenizers whose fingerprint begins so.")]


@evidence.command("list")
def list_(
    store: StoreOption = ".olmix",
    swarm: SwarmOption = "",
    source: SourceOption = "",
    recipe: RecipeOption = "",
    tokenizer: TokenizerOption = "",
    as_json: JsonOption = False,
) -> None:
    """List what is on record, by swarm."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger
    from olmix_core.evidence.merge import merge
    from olmix_core.evidence.summary import NEEDED, Filters, overview, select

    everything = merge(ledger.read(open_store(store), NEEDED))
    chosen = merge(everything.rows(select(everything, Filters(swarm, source, recipe, tokenizer))))
    rows = overview(chosen)
    if as_json:
        _print_json(rows)
        return
    console.print(_table(rows) if rows else Text(f"{store}: found no evidence that fits"))


@evidence.command("export")
def export_(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    format: Annotated[FormatName, typer.Option("--format", help=_FORMATS)] = "csv",
    store: StoreOption = ".olmix",
    swarm: SwarmOption = "",
    source: SourceOption = "",
    recipe: RecipeOption = "",
    tokenizer: TokenizerOption = "",
) -> None:
    """Write evidence for others: the CSV files of the published tool, parquet, or JSON."""
    from flows.cli.locate import open_store
    from olmix_core.errors import DataError
    from olmix_core.evidence import ledger
    from olmix_core.evidence.merge import merge
    from olmix_core.evidence.summary import Filters, select
    from olmix_core.interop.export_evidence import export_evidence

    everything = merge(ledger.read(open_store(store)))
    filters = Filters(swarm, source, recipe, tokenizer)
    chosen = merge(everything.rows(select(everything, filters)))
    if not len(chosen):
        asked = ", ".join(f"--{name} {value}" for name, value in filters.given().items()) or "no filters"
        raise DataError(
            f"{store}: found {len(everything)} proxies on record and none that fits ({asked}); expected some: olmix"
            " evidence list shows what is there"
        )
    files = export_evidence(chosen, output, EVIDENCE_EXPORTERS[format])
    console.print(f"{len(chosen)} proxies written to {output}: {', '.join(files)}", soft_wrap=True)


@evidence.command("import")
def import_(
    ratios: Annotated[Path, typer.Argument(metavar="RATIOS", help="CSV file: a mixture per run.")],
    metrics: Annotated[Path, typer.Argument(metavar="METRICS", help="CSV file: bits per byte per run.")],
    domains: Annotated[Path, typer.Option("--domains", metavar="MAP", help="YAML file: what the columns are.")],
    store: StoreOption = ".olmix",
    as_json: JsonOption = False,
) -> None:
    """Put a swarm that was run elsewhere on record."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger
    from olmix_core.interop.import_swarm import import_swarm

    found = import_swarm(ratios, metrics, domains)
    opened = open_store(store)
    opened.preflight()
    known = set(ledger.read(opened, ["proxy"])["proxy"].to_pylist())
    ledger.append(opened, found.rows)
    already = sum(row.proxy in known for row in found.rows)
    if as_json:
        counts = {"proxies": len(found.rows), "already": already, "domains": found.domains, "tasks": found.tasks}
        _print_json({"name": found.name, **counts, "declared": found.declared, "notes": list(found.notes)})
        return
    words = f"{len(found.rows)} proxies of {found.name} are on record"
    words += f", {already} of them were before" if already else ""
    words += f": {found.domains} domains, {found.tasks} tasks"
    words += f"; {found.declared} of both are known by their label only" if found.declared else ""
    console.print(words, soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)


@evidence.command("compact")
def compact_(store: StoreOption = ".olmix", as_json: JsonOption = False) -> None:
    """Put all files of the ledger into one; safe while others append."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger

    done = ledger.compact(open_store(store))
    if as_json:
        _print_json(vars(done))
        return
    if done.files < 2:
        console.print(f"nothing to do: {done.rows} rows in {done.files} files")
    else:
        copies = f"; {done.copies} copies left out" if done.copies else ""
        console.print(f"{done.rows} rows of {done.files} files are in one file now{copies}")


def _table(rows: list[dict[str, Any]]) -> Table:
    from olmix_core.formatting import amount

    several = len({row["tokenizer"] for row in rows}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("swarm", "source", "recorded", "recipe", *(["tokenizer"] if several else [])):
        table.add_column(name, overflow="fold", no_wrap=name != "source", style="bold" if name == "swarm" else "")
    for name in ("proxies", "domains", "tasks", "tokens"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row["swarm"] if row["imported"] else row["swarm"][:8]),
            Text(f"{row['source']} (imported)" if row["imported"] else row["source"]),
            row["recorded"][:10],
            row["recipe"][:8],
            *([row["tokenizer"][:8]] if several else []),
            *(str(row[name]) for name in ("proxies", "domains", "tasks")),
            "unknown" if row["tokens"] is None else amount(row["tokens"]),
        )
    return table


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1))
