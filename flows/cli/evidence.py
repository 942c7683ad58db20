"""The commands `olmix evidence ...`: list, export, import and compact the ledger of evaluated proxies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from olmix_core.interop.exporters.evidence import EVIDENCE_EXPORTERS

if TYPE_CHECKING:
    from olmix_core.evidence.summary import SwarmSummary

    FormatName = str
else:  # so that the help and errors name the formats
    FormatName = Literal[tuple(EVIDENCE_EXPORTERS)]

evidence = typer.Typer(no_args_is_help=True, help="List, export, import and compact the results of proxies.")

_FORMATS = "; ".join(f"{name}: {exporter.description}" for name, exporter in EVIDENCE_EXPORTERS.items()) + "."

SwarmOption = Annotated[str, typer.Option("--swarm", help="Only swarms whose name or key starts with this.")]
SourceOption = Annotated[
    str,
    typer.Option("--source", help="Only rows recorded by this mix (NAME or NAME@VERSION) or imported from this file."),
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="Only recipes whose key starts with this.")]
TokenizerOption = Annotated[
    str, typer.Option("--tokenizer", help="Only tokenizers whose fingerprint starts with this.")
]


@evidence.command("list")
def list_(
    store_url: StoreOption = DEFAULT_STORE,
    swarm: SwarmOption = "",
    source: SourceOption = "",
    recipe: RecipeOption = "",
    tokenizer: TokenizerOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the evaluated proxies on record, by swarm."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger
    from olmix_core.evidence.merge import merge
    from olmix_core.evidence.summary import NEEDED, Filters, overview, select

    everything = merge(ledger.read(open_store(store_url), NEEDED))
    chosen = merge(everything.rows(select(everything, Filters(swarm, source, recipe, tokenizer))))
    rows = overview(chosen)
    if as_json:
        print_json([row.to_json() for row in rows])
        return
    console.print(_table(rows) if rows else Text(f"{store_url}: found no matching evidence"))


@evidence.command("export")
def export_(  # noqa: PLR0913 - the options of a command
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    format: Annotated[FormatName, typer.Option("--format", help=_FORMATS)] = "csv",
    store_url: StoreOption = DEFAULT_STORE,
    swarm: SwarmOption = "",
    source: SourceOption = "",
    recipe: RecipeOption = "",
    tokenizer: TokenizerOption = "",
) -> None:
    """Write evidence for other tools: the CSV files of the published tool, parquet, or JSON."""
    from flows.cli.locate import open_store
    from olmix_core.errors import DataError
    from olmix_core.evidence import ledger
    from olmix_core.evidence.merge import merge
    from olmix_core.evidence.summary import Filters, select
    from olmix_core.interop.export import export_evidence

    everything = merge(ledger.read(open_store(store_url)))
    filters = Filters(swarm, source, recipe, tokenizer)
    chosen = merge(everything.rows(select(everything, filters)))
    if not len(chosen):
        options = ", ".join(f"--{name} {value}" for name, value in filters.given().items()) or "no filters"
        raise DataError(
            f"{store_url}: found {len(everything)} proxies on record and none that matches ({options}); expected some:"
            " olmix evidence list shows them"
        )
    files = export_evidence(chosen, output, EVIDENCE_EXPORTERS[format])
    console.print(f"{len(chosen)} proxies written to {output}: {', '.join(files)}", soft_wrap=True)


@evidence.command("import")
def import_(
    ratios: Annotated[Path, typer.Argument(metavar="RATIOS", help="CSV file with one mixture per run.")],
    metrics: Annotated[Path, typer.Argument(metavar="METRICS", help="CSV file with bits per byte per run.")],
    domains: Annotated[Path, typer.Option("--domains", metavar="MAP", help="YAML file that describes the columns.")],
    store_url: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Import a swarm that was run elsewhere."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger
    from olmix_core.evidence.merge import labels_in
    from olmix_core.interop.swarm_import import import_swarm, similar_labels

    swarm = import_swarm(ratios, metrics, domains)
    store = open_store(store_url)
    store.preflight()
    recorded = ledger.read(store, ["proxy", "recorded", "labels"])
    on_record = set(recorded["proxy"].to_pylist())
    notes = [*swarm.notes, *similar_labels(swarm, labels_in(recorded))]
    ledger.append(store, swarm.rows)
    already = sum(row.proxy in on_record for row in swarm.rows)
    if as_json:
        counts = {"proxies": len(swarm.rows), "already": already, "domains": swarm.domains, "tasks": swarm.tasks}
        print_json({"name": swarm.name, **counts, "declared": swarm.declared, "notes": notes})
        return
    message = f"{len(swarm.rows)} proxies of {swarm.name} are on record"
    message += f", {already} of them were before" if already else ""
    message += f": {swarm.domains} domains, {swarm.tasks} tasks"
    message += f"; {swarm.declared} of both are known by their label only" if swarm.declared else ""
    console.print(message, soft_wrap=True)
    for note in notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)


@evidence.command("compact")
def compact_(store_url: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Merge all files of the ledger into one; safe while others append."""
    from flows.cli.locate import open_store
    from olmix_core.evidence import ledger

    summary = ledger.compact(open_store(store_url))
    if as_json:
        print_json(vars(summary))
        return
    if summary.files < 2:
        console.print(f"nothing to do: {summary.rows} rows in {summary.files} files")
    else:
        copies = f"; {summary.copies} copies left out" if summary.copies else ""
        console.print(f"{summary.rows} rows of {summary.files} files are in one file now{copies}")


def _table(rows: "list[SwarmSummary]") -> Table:
    """A row per swarm, source, recipe and tokenizer."""
    from olmix_core.formatting import amount

    several = len({row.tokenizer for row in rows}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("swarm", "source", "recorded", "recipe", *(["tokenizer"] if several else [])):
        table.add_column(name, overflow="fold", no_wrap=name != "source", style="bold" if name == "swarm" else "")
    for name in ("proxies", "domains", "tasks", "tokens"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row.swarm if row.imported else row.swarm[:8]),
            Text(f"{row.source} (imported)" if row.imported else row.source),
            row.recorded[:10],
            row.recipe[:8],
            *([row.tokenizer[:8]] if several else []),
            *(str(getattr(row, name)) for name in ("proxies", "domains", "tasks")),
            "unknown" if row.tokens is None else amount(row.tokens),
        )
    return table
