"""The command `olmix fit`: from a fit configuration and CSV files of the published tool to a mixture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows.cli.console import console

if TYPE_CHECKING:
    from olmix_core.interop.fit import PublishedFit

_WORST = 5  # tasks shown


def fit(
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="A fit configuration of the published tool, a YAML file.")
    ],
    output_dir: Annotated[Path, typer.Option("--output-dir", metavar="DIR", help="The folder to write.")],
    published_behaviour: Annotated[
        bool,
        typer.Option("--published-behaviour", help="Follow the published tool where the default differs."),
    ] = False,
) -> None:
    """Fit a law and propose a mixture from proxy runs in two CSV files."""
    from olmix_core.interop.fit import fit_published

    with console.status("Fitting"):
        result = fit_published(config, output_dir, published_behaviour=published_behaviour)
    console.print(_view(result), soft_wrap=True)


def _view(result: "PublishedFit") -> Group:
    from flows.cli.mix_view import mixture_table

    parts = _evidence(result), Text(), mixture_table(result.table), _predicted(result), _worst(result)
    return Group(*parts, _remarks(result))


def _evidence(result: "PublishedFit") -> Text:
    record, counts = result.record, result.record.evidence
    gamma = "" if record.gamma is None else f", gamma {record.gamma:g}"
    text = Text()
    text.append("fit", style="bold")
    text.append(f"  {record.family}{gamma}: {counts.runs} runs, {counts.domains} domains, {len(record.tasks)} tasks")
    if counts.held_out:
        text.append(f"; {counts.held_out} runs held out")
    return text


def _predicted(result: "PublishedFit") -> Text:
    predicted, gain = result.record.predicted, result.record.gain["over_natural"]
    text = Text()
    text.append("\npredicted mean BPB (lower is better), with 90 % interval\n", style="bold")
    for name, bpb in predicted.items():
        text.append(f"  {name:<9} {bpb.bpb:.4f}  ({bpb.low:.4f} to {bpb.high:.4f})\n")
    share = gain.bpb / predicted["natural"].bpb
    text.append(f"  gain over natural: {gain.bpb:.4f} ({gain.low:.4f} to {gain.high:.4f}), {share:.1%}")
    text.append(f"{gain.caution}\n")
    solver = result.record.solver
    proof = "" if solver.gap is None else f", at most {solver.gap:.1e} BPB from the optimum"
    text.append(f"  solver: {solver.status}{proof}\n")
    return text


def _worst(result: "PublishedFit") -> Table:
    """Cross-validated errors of the objective and the worst tasks; those on held-out runs beside them."""
    from olmix_core.surrogate.cross_validation import OBJECTIVE

    order = result.diagnostics.drop(index=OBJECTIVE).sort_values("spearman", na_position="first", kind="stable").index
    errors = result.diagnostics.to_dict("index")
    held_out = None if result.held_out is None else result.held_out.to_dict("index")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("objective and worst tasks, cross-validated", style="bold", overflow="fold")
    for name in ("Spearman", "R2", "error (BPB)", *([] if held_out is None else ["held out: Spearman", "error (BPB)"])):
        table.add_column(name, justify="right")
    for task in [OBJECTIVE, *order[:_WORST]]:
        cells = [f"{errors[task][name]:.3f}" for name in ("spearman", "r2", "mae")]
        if held_out is not None:
            cells += [f"{held_out[task][name]:.3f}" for name in ("spearman", "mae")]
        table.add_row(Text(str(task)), *cells)
    return table


def _remarks(result: "PublishedFit") -> Text:
    record = result.record
    text = Text("\n")
    for task, reason in record.flags.items():
        text.append(f"task {task}: {reason}\n", style="yellow")
    for note in record.notes:
        text.append(f"note: {note}\n", style="yellow")
    if record.differences:
        text.append("where this differs from the published tool\n", style="bold")
        for line in record.differences:
            text.append(f"  {line}\n")
    text.append("files  ", style="bold")
    text.append(f"{result.output}: {', '.join(path.name for path in result.files)}")
    return text
