"""The command `olmix predict`: what the law of a published mix says of another mixture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from olmix_core.mixes.published_mix import PublishedMix
    from olmix_core.surrogate.intervals import Interval
    from olmix_core.surrogate.prediction import Prediction

console = Console(highlight=False)


def predict(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a mix, its configuration, or a folder of olmix fit; may be left out."),
    ] = None,
    mix: Annotated[
        Path | None,
        typer.Option("--mix", metavar="FILE", help="The mixture, CSV or JSON; by default the proposed one."),
    ] = None,
    store: Annotated[str, typer.Option("--store", help="The store, where no configuration names it.")] = ".olmix",
    version: Annotated[str | None, typer.Option("--version", help="A version other than the latest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Predict BPB of a mixture by the law of a published mix; nothing is trained."""
    from flows.cli.locate import find_mix
    from olmix_core.interop.mixture_file import read_mixture

    found = find_mix(name, store, version)
    prediction = found.predict(None if mix is None else read_mixture(mix))
    if as_json:
        print(json.dumps({"name": found.record.name, "version": found.version, **prediction.to_json()}, indent=1))
    else:
        console.print(view(found, prediction, "the proposed mixture" if mix is None else str(mix)))


def view(mix: "PublishedMix", prediction: "Prediction", what: str) -> Group:
    """The prediction for a terminal."""
    parts: list[RenderableType] = [Text(f"{what}, by the law of {mix.title}\n", style="bold")]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("predicted BPB (lower is better)", overflow="fold")
    for column in ("BPB", "90 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    proposed = mix.predict()
    table.add_column("against proposed", justify="right")
    table.add_row(Text("weighted mean", style="bold"), *_cells(prediction.objective, proposed.objective))
    for family, value in prediction.families.items():
        table.add_row(Text(family), *_cells(value, proposed.families[family]))
    parts += [table, Text()]
    words = Text()
    for reference, gain in prediction.gain.items():
        words.append(f"gain over {reference}: {gain.bpb:.4f} ({gain.low:.4f} to {gain.high:.4f}){gain.caution}\n")
    for one in prediction.broken:
        words.append(f"{one.domain}: weight {one.weight:.4f} is above its cap {one.cap:.4f}", style="yellow")
        words.append("\n" if one.epochs != one.epochs else f", {one.epochs:.2f} epochs\n", style="yellow")
    if not prediction.broken:
        words.append("every cap is kept\n")
    if len(prediction.tasks) > len(prediction.families):
        words.append("--json has every task\n")
    return Group(*parts, words)


def _cells(value: "Interval", proposed: "Interval") -> tuple[str, str, str]:
    difference = value.bpb - proposed.bpb
    return f"{value.bpb:.6f}", f"{value.low:.4f} to {value.high:.4f}", f"{difference:+.6f}"
