"""The command line: olmix init, run, show."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from olmix_core.errors import OlmixError

# Heavy packages (prefect, torch, cvxpy) are imported by the commands that need them, so that help comes at once.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Decide how much of each data domain to pretrain on, and decide again cheaply when the data changes.",
)
console = Console(highlight=False)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")]

LOG_SECONDS = 10.0  # between lines where the output is no terminal


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of text, one folder or file a domain.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("mix.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> None:
    """Write a commented starter configuration for a folder of text."""
    from olmix_core.starter import write_starter

    domains = write_starter(folder, output, overwrite=force)
    console.print(f"Wrote [bold]{output}[/bold] with {domains} domains. Next: olmix run {output}")


@app.command()
def run(
    config: ConfigFile,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Proxies at once; one per core by default."),
    ] = None,
) -> None:
    """Find the mixture that CONFIG asks for; what was computed before is not computed again."""
    from flows import environment
    from olmix_core.config import load_config
    from olmix_core.preflight import look

    started = time.monotonic()
    loaded = load_config(config)
    # Before Prefect starts, which takes seconds: a mistake should be told at once.
    look(loaded, str(config))

    environment.prepare()
    with console.status("Starting Prefect"):
        from flows.mix import run_mix
        from tasks import progress

    tracked = progress.begin()
    with _stoppable(), _watch(tracked):
        record = run_mix(loaded, str(config), workers)
    counts = tracked.accounting()
    console.print(_mix_view(loaded.store, record))
    console.print(_summary(counts, time.monotonic() - started), soft_wrap=True)


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a mix, or its configuration; may be left out where there is one."),
    ] = None,
    store: Annotated[str, typer.Option("--store", help="The store that holds it.")] = ".olmix",
    version: Annotated[str | None, typer.Option("--version", help="A version other than the latest.")] = None,
) -> None:
    """Show the current mixture."""
    from olmix_core.config import load_config
    from olmix_core.record import read_mix
    from olmix_core.store import Store

    if name is not None and name.endswith((".yaml", ".yml")):
        loaded = load_config(name)
        name, store = loaded.name, loaded.store
    opened = Store(store)
    if name is None:
        names = opened.list("mixes")
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise OlmixError(f"{store}: found the mixes: {found}; expected one, or the NAME of the one to show")
        name = names[0]
    console.print(_mix_view(store, read_mix(opened, name, version)))


def _mix_view(store: str, record: dict[str, Any]) -> Any:
    import io

    import pandas as pd

    from flows.terminal import mix_view
    from olmix_core.record import mix_folder
    from olmix_core.store import Store

    opened = Store(store)
    folder = mix_folder(record["name"], record["version"])
    table = pd.read_csv(io.BytesIO(opened.read_bytes(f"{folder}/mix.csv")), dtype={"domain": str})
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return mix_view(record, rows, f"{opened.url}/{folder}")


def _summary(counts: dict[str, dict[str, int]], seconds: float) -> str:
    executed = {step: n["executed"] for step, n in counts.items() if n["executed"] and step != "publish"}
    cached = sum(n["cached"] for n in counts.values())
    if executed:
        what = ", ".join(f"{step} {n}" for step, n in executed.items())
        words = f"executed: {what}; cached: {cached}"
    else:
        words = f"everything was cached: {cached} results, nothing trained, nothing evaluated"
    return f"[bold]run[/bold]    {words}; {seconds:.0f} s"


@contextmanager
def _watch(tracked: Any) -> Iterator[None]:
    """Show the steps while they run: live in a terminal, a line now and then in a log."""
    from rich.live import Live

    from flows.terminal import LiveSteps, line

    steps = LiveSteps(tracked)
    if console.is_terminal:
        with Live(steps, console=console, refresh_per_second=4):
            yield
        return
    over = threading.Event()

    def tell() -> None:
        while not over.wait(LOG_SECONDS):
            console.print(line(tracked))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        console.print(steps)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let Ctrl-C end the processes that train, for which the flow would otherwise wait."""
    from olmix_core.workers import workers

    def stop(signum: int, frame: Any) -> None:
        workers.close()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main() -> None:
    """The console script: errors of users are one message and status 1."""
    try:
        app()
    except OlmixError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]error[/bold red] {_escaped(error)}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("\nstopped; what was finished is kept, and the next run goes on from there")
        sys.exit(130)


def _escaped(error: OlmixError) -> str:
    from rich.markup import escape

    return escape(str(error))
