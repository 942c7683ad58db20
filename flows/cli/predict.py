"""The command `olmix predict`: the BPB that the law of a published mix predicts for another mixture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows.cli.console import console, print_json
from flows.cli.options import DEFAULT_STORE, JsonOption, MixStoreOption, VersionOption

if TYPE_CHECKING:
    from olmix_core.mixes.published_mix import PublishedMix
    from olmix_core.surrogate.intervals import Interval
    from olmix_core.surrogate.prediction import Prediction


def predict(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a mix, its configuration, or a folder of olmix fit; optional for a single mix."),
    ] = None,
    mix: Annotated[
        Path | None,
        typer.Option("--mix", metavar="FILE", help="The mixture, CSV or JSON; default: the proposed one."),
    ] = None,
    store_url: MixStoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the BPB of a mixture with the law of a published mix; nothing is trained."""
    from flows.cli.locate import find_mix
    from olmix_core.interop.mixture_file import read_mixture

    published = find_mix(name, store_url, version)
    mixture = None if mix is None else read_mixture(mix)
    prediction = published.predict(mixture)
    at_target = None if published.target is None else published.predict(mixture, at_target=True)
    if as_json:
        target = {} if at_target is None else {"target": at_target.to_json()}
        print_json({"name": published.record.name, "version": published.version, **prediction.to_json(), **target})
    else:
        subject = "the proposed mixture" if mix is None else str(mix)
        console.print(view(published, prediction, subject))
        if at_target is not None:
            console.print(target_view(published, at_target))


def view(mix: "PublishedMix", prediction: "Prediction", subject: str) -> Group:
    """Make the view of a prediction.

    Args:
        mix: The published mix.
        prediction: What its law predicts.
        subject: Name of the mixture that it is predicted for.

    Returns:
        The view.
    """
    parts: list[RenderableType] = [Text(f"{subject}, by the law of {mix.title}\n", style="bold")]
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
    for leaf in prediction.broken:
        words.append(f"{leaf.domain}: weight {leaf.weight:.4f} is above its cap {leaf.cap:.4f}", style="yellow")
        words.append("\n" if leaf.epochs != leaf.epochs else f", {leaf.epochs:.2f} epochs\n", style="yellow")
    if not prediction.broken:
        words.append("every cap is kept\n")
    if len(prediction.tasks) > len(prediction.families):
        words.append("--json has every task\n")
    return Group(*parts, words)


def target_view(mix: "PublishedMix", prediction: "Prediction") -> Text:
    """Make the view of a prediction at the size of the target run.

    Args:
        mix: The published mix, with a target.
        prediction: What is predicted there.

    Returns:
        The view.
    """
    assert mix.target is not None
    bpb = prediction.objective
    words = Text(f"at {mix.target.target}\n", style="bold")
    words.append(f"weighted mean: {bpb.bpb:.4f} ({bpb.low:.4f} to {bpb.high:.4f})\n")
    for reference, gain in prediction.gain.items():
        words.append(f"gain over {reference}: {gain.bpb:.4f} ({gain.low:.4f} to {gain.high:.4f}){gain.caution}\n")
    return words


def _cells(value: "Interval", proposed: "Interval") -> tuple[str, str, str]:
    difference = value.bpb - proposed.bpb
    return f"{value.bpb:.6f}", f"{value.low:.4f} to {value.high:.4f}", f"{difference:+.6f}"
