"""The command `olmix fit`: for users of the published tool, from its fit configuration and CSV files to a mixture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
        typer.Option("--published-behaviour", help="Do as the published tool does where the default differs."),
    ] = False,
) -> None:
    """Fit and propose from proxy runs that are on record as two CSV files."""
    from olmix_core.interop.fit import fit_published

    with console.status("Fitting"):
        found = fit_published(config, output_dir, published_behaviour=published_behaviour)
    console.print(_view(found), soft_wrap=True)


def _view(found: "PublishedFit") -> Group:
    from flows.cli.live import mixture_table

    rows: list[dict[str, Any]] = found.table.to_dict("records")  # type: ignore[assignment]
    return Group(_evidence(found), Text(), mixture_table(rows), _predicted(found), _worst(found), _remarks(found))


def _evidence(found: "PublishedFit") -> Text:
    record, counts = found.record, found.record.evidence
    gamma = "" if record.gamma is None else f", gamma {record.gamma:g}"
    words = Text()
    words.append("fit", style="bold")
    words.append(f"  {record.family}{gamma}: {counts.runs} runs, {counts.domains} domains, {len(record.tasks)} tasks")
    if counts.held_out:
        words.append(f"; {counts.held_out} runs held out")
    return words


def _predicted(found: "PublishedFit") -> Text:
    predicted, gain = found.record.predicted, found.record.gain["over_natural"]
    words = Text()
    words.append("\npredicted mean BPB (lower is better), with 90 % interval\n", style="bold")
    for name, at in predicted.items():
        words.append(f"  {name:<9} {at.bpb:.4f}  ({at.low:.4f} to {at.high:.4f})\n")
    share = gain.bpb / predicted["natural"].bpb
    words.append(f"  gain over natural: {gain.bpb:.4f} ({gain.low:.4f} to {gain.high:.4f}), {share:.1%}")
    words.append(f"{gain.caution}\n")
    solver = found.record.solver
    proof = "" if solver.gap is None else f", at most {solver.gap:.1e} BPB from the optimum"
    words.append(f"  solver: {solver.status}{proof}\n")
    return words


def _worst(found: "PublishedFit") -> Table:
    """Cross-validated errors of the objective and the worst tasks; those on held-out runs beside them."""
    from olmix_core.surrogate.cross_validation import OBJECTIVE

    order = found.diagnostics.drop(index=OBJECTIVE).sort_values("spearman", na_position="first", kind="stable").index
    errors = found.diagnostics.to_dict("index")
    held_out = None if found.held_out is None else found.held_out.to_dict("index")
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


def _remarks(found: "PublishedFit") -> Text:
    record = found.record
    words = Text("\n")
    for task, reason in record.flags.items():
        words.append(f"task {task}: {reason}\n", style="yellow")
    for note in record.notes:
        words.append(f"note: {note}\n", style="yellow")
    if record.differences:
        words.append("where this differs from the published tool\n", style="bold")
        for line in record.differences:
            words.append(f"  {line}\n")
    words.append("files  ", style="bold")
    words.append(f"{found.output}: {', '.join(path.name for path in found.files)}")
    return words
