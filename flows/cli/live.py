"""The steps of a run while they run, in a terminal or as lines of a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from olmix_core.formatting import duration
from tasks.runtime.periodic import repeatedly
from tasks.runtime.progress import RunProgress, StepProgress
from tasks.runtime.registry import STEPS

LOG_SECONDS = 10.0  # between lines where the output is no terminal


class LiveSteps:
    """The table of the steps of a run, drawn anew whenever rich asks for it."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.table(console.width)

    def table(self, width: int) -> Table:
        """Draw the table.

        Args:
            width: Columns of the terminal; from 100 on, titles of the steps are shown.

        Returns:
            A row for each step.
        """
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
            title = [stage.title] if width >= 100 else []
            table.add_row(stage.name, *title, *counts, self._state(step))
        return table

    def _state(self, step: StepProgress) -> Text | ProgressBar | Table:
        if step.failed:
            return Text(f"{step.failed} failed", style="red")
        if not step.expected:
            return Text("")
        if step.is_done:
            return Text("done", style="green")
        row = Table.grid(padding=(0, 1, 0, 0))
        text = f"{step.done} of {step.expected}"
        if step.speed:
            text += f", {step.speed:,.0f} tokens/s"
        seconds = step.seconds_left()
        if seconds is not None:
            text += f", {duration(seconds)} left"
        row.add_row(ProgressBar(total=step.expected, completed=step.parts_done, width=16), text)
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
    """Summarise the state of a run in one line, for logs.

    Args:
        progress: The progress of the run.

    Returns:
        The steps in progress.
    """
    running = [
        f"{name} {step.done} of {step.expected}" for name, step in progress.steps.items() if step.done < step.expected
    ]
    return ", ".join(running) or "starting"
