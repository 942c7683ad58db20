"""What the terminal shows: the live table of steps, and a mixture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.bar import Bar
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from olmix_core.evidence.compatibility import describe_exclusions
from olmix_core.formatting import amount, duration
from olmix_core.mixes.record import MixRecord
from tasks.runtime.periodic import repeatedly
from tasks.runtime.progress import RunProgress, StepProgress
from tasks.runtime.registry import STEPS

LOG_SECONDS = 10.0  # between lines where the output is no terminal


class LiveSteps:
    """The steps of a run, drawn anew whenever rich asks for it."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.table(console.width)

    def table(self, width: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("step", style="bold", no_wrap=True)
        if width >= 100:
            table.add_column("", style="dim", no_wrap=True)
        table.add_column("executed", justify="right")
        table.add_column("cached", justify="right", style="cyan")
        table.add_column("reused", justify="right", style="magenta")
        table.add_column("", no_wrap=True)
        for stage in STEPS:
            if stage.optional and stage.name not in self._progress.steps:
                continue
            step = self._progress.steps.get(stage.name, StepProgress())
            counts = [str(count or "·") for count in (step.executed, step.cached, step.reused)]
            about = [stage.title] if width >= 100 else []
            table.add_row(stage.name, *about, *counts, self._state(step))
        return table

    def _state(self, step: StepProgress) -> Text | ProgressBar | Table:
        if step.failed:
            return Text(f"{step.failed} failed", style="red")
        if not step.expected:
            return Text("")
        if step.is_done:
            return Text("done", style="green")
        row = Table.grid(padding=(0, 1, 0, 0))
        words = f"{step.done} of {step.expected}"
        if step.speed:
            words += f", {step.speed:,.0f} tokens/s"
        left = step.seconds_left()
        if left is not None:
            words += f", {duration(left)} left"
        row.add_row(ProgressBar(total=step.expected, completed=step.parts_done, width=16), words)
        return row


@contextmanager
def showing(progress: RunProgress, console: Console) -> Iterator[None]:
    """Show the steps of a run during the block: live on a terminal, as a line every few seconds in a log.

    Args:
        progress: The progress of the run.
        console: Where to print.

    Yields:
        Nothing; the run takes place within the block.
    """
    steps = LiveSteps(progress)
    if console.is_terminal:
        with Live(steps, console=console, refresh_per_second=4):
            yield
        return
    try:
        with repeatedly(lambda: console.print(line(progress)), LOG_SECONDS):
            yield
    finally:
        console.print(steps)


def line(progress: RunProgress) -> str:
    """The state of a run as one line, for logs that are no terminal."""
    running = [
        f"{name} {step.done} of {step.expected}" for name, step in progress.steps.items() if step.done < step.expected
    ]
    return ", ".join(running) or "starting"


def mixture_table(rows: list[dict[str, Any]]) -> Table:
    """The mixture, a row per leaf, with bars."""
    has_previous = any(row["previous"] == row["previous"] and row["previous"] is not None for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("domain", style="bold", overflow="fold")
    for name in ("tokens", "natural", *(["previous"] if has_previous else []), "weight"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for name in ("x natural", "epochs"):
        table.add_column(name, justify="right")
    highest = max(row["weight"] for row in rows)
    for row in rows:
        bar = Bar(highest, 0, row["weight"], width=16)
        cap = " cap" if row["at_cap"] else ""
        previous = "-" if row["previous"] is None or row["previous"] != row["previous"] else f"{row['previous']:.4f}"
        table.add_row(
            Text(row["domain"]),
            amount(row["tokens"]),
            f"{row['natural']:.4f}",
            *([previous] if has_previous else []),
            f"{row['weight']:.4f}",
            bar,
            f"{row['ratio']:.2f}",
            f"{row['epochs']:.2f}{cap}",
        )
    return table


def mix_view(record: MixRecord, rows: list[dict[str, Any]], folder: str) -> Group:
    """A published mix: its mixture, what it gains, and where its files are."""
    predicted, gains = record.predicted, record.gain
    words = Text()
    words.append(f"\n{record.name} {record.version}", style="bold")
    proxies = record.proxies
    learnt = [f"{proxies.swarm} proxies of {amount(proxies.parameters or 0)} parameters"] if proxies.swarm else []
    earlier = proxies.carried_over - proxies.pooled
    if earlier:
        learnt.append(f"{earlier} proxies of earlier versions")
    if proxies.pooled:
        learnt.append(f"{proxies.pooled} of other swarms on record")
    words.append(f"  learnt from {' and '.join(learnt)}; for a run of {amount(record.target_tokens)} tokens\n")
    tail = Text()
    tail.append("\npredicted mean BPB (lower is better), with 90 % interval\n", style="bold")
    for name in ("natural", "previous", "proposed"):
        if name in predicted:
            at = predicted[name]
            tail.append(f"  {name:<9} {at.bpb:.4f}  ({at.low:.4f} to {at.high:.4f})\n")
    for name, gain in gains.items():
        reference = predicted[name.removeprefix("over_")].bpb
        tail.append(
            f"  gain {name.replace('_', ' ')}: {gain.bpb:.4f}"
            f" ({gain.low:.4f} to {gain.high:.4f}), {gain.bpb / reference:.1%}{gain.caution}\n"
        )
    for task, reason in record.flags.items():
        tail.append(f"  task {task}: {reason}\n", style="yellow")
    if proxies.left_out:
        tail.append(
            f"  proxies on record that were left out: {describe_exclusions(proxies.left_out)}\n", style="yellow"
        )
    for note in record.notes:
        tail.append(f"  note: {note}\n", style="yellow")
    tail.append("\nfiles  ", style="bold")
    tail.append(folder)
    return Group(words, mixture_table(rows), tail)
