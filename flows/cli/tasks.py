"""The commands `olmix tasks ...`: import evaluation tasks as files, and measure a trained proxy on them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows.cli.console import console
from flows.cli.options import DEFAULT_STORE
from olmix_core.errors import StoreError

if TYPE_CHECKING:
    from olmix_core.config.evaluation import Task
    from olmix_core.proxies.results import Score
    from olmix_core.storage.store import Store
    from olmix_core.workers.jobs import ProxyReference

tasks = typer.Typer(no_args_is_help=True, help="Import evaluation tasks, and measure a trained proxy on them.")


@tasks.command("import")
def import_(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="The suite, for example olmes (the paper's tasks).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to write; default: tasks/SUITE.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", help="The file that the suite is read from, instead of a download.")
    ] = None,
) -> None:
    """Write the tasks of SUITE as JSON lines files, with task lists for a configuration."""
    from olmix_core.data.suites import get_suite

    chosen = get_suite(suite)
    folder = output or Path("tasks") / chosen.name
    with console.status("Downloading and converting"):
        counts = chosen.import_tasks(source or chosen.download(), folder)
    console.print(f"Wrote {len(counts)} tasks, {sum(counts.values()):,} documents, to [bold]{folder}[/bold]")
    listed = f"{folder}/{chosen.main_list}"
    console.print(f"Next, in a configuration:  evaluation: {{tasks: [{{list: {listed}, sample: 200}}]}}")


@tasks.command()
def measure(
    task_list: Annotated[Path, typer.Argument(metavar="LIST", help="A list of tasks, such as tasks/olmes/quick.yaml.")],
    proxy: Annotated[str, typer.Option("--proxy", help="Key of a trained proxy, or the start of it.")],
    store_url: Annotated[str, typer.Option("--store", help="The store of the proxy.")] = DEFAULT_STORE,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Number of documents per task.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Number of tasks at once.")] = None,
) -> None:
    """Estimate the time, then measure a proxy of the store on the tasks of LIST."""
    from flows.cli.locate import open_store
    from olmix_core.config.evaluation import Task
    from olmix_core.config.load import read_task_list
    from olmix_core.workers.pool import at_once

    entry = Task.model_validate({"list": str(task_list), **({"sample": sample} if sample else {})})
    file_tasks = [task for task in read_task_list(entry, task_list, "(file)") if task.file is not None]
    reference = _proxy(open_store(store_url), proxy)
    measured, duration = _measure(file_tasks, reference, workers or at_once())
    console.print(_table(file_tasks, measured))
    console.print(duration)


@dataclass(frozen=True)
class _TimedScore:
    """The score of a task, and the seconds that it was expected to take and took."""

    score: "Score"
    expected: float
    took: float


def _proxy(store: "Store", start: str) -> "ProxyReference":
    """The trained proxy whose key begins with `start`. Raises StoreError."""
    from flows.execution import prefect_settings

    prefect_settings.prepare()
    from olmix_core.storage.layout import PROXIES_FOLDER, tokenizer_path
    from olmix_core.workers.jobs import ProxyReference
    from tasks.runtime.payload import read_payload
    from tasks.steps.train import TrainPayload, train

    key = _whole_key(store.list(PROXIES_FOLDER), start, store.url)
    stored = read_payload(store, train.name, key)
    if stored is None:
        raise StoreError(f"{store.url}: found no payload of proxy {key[:12]}; expected one that `olmix run` trained")
    payload = TrainPayload.from_json(stored.payload)
    return ProxyReference(store.url, key, payload.recipe, tokenizer_path(payload.tokenizer))


def _measure(file_tasks: "Sequence[Task]", proxy: "ProxyReference", count: int) -> tuple[list[_TimedScore], str]:
    """Score a proxy on tasks, `count` at once, after printing an estimate; the scores, and how long it took."""
    from olmix_core.data.tasks import TaskSource
    from olmix_core.workers.jobs import EvaluateJob, ForecastJob
    from olmix_core.workers.pool import worker_pool

    sources = []
    for task in file_tasks:
        file = str(task.file) if "://" in str(task.file) else str(Path(str(task.file)).absolute())
        sources.append(TaskSource(file=file, sample=(task.sample, task.sample_seed) if task.sample else None))

    def forecast(number: int) -> float:
        return worker_pool.run(ForecastJob(proxy, sources[number])).seconds

    def evaluate(number: int) -> _TimedScore:
        started = time.monotonic()
        score = worker_pool.run(EvaluateJob(proxy, file_tasks[number].label, sources[number]))
        return _TimedScore(score, expected[number], time.monotonic() - started)

    started = time.monotonic()
    try:
        with ThreadPoolExecutor(count) as threads, console.status("Counting") as status:
            expected = list(threads.map(forecast, range(len(sources))))
            console.print(f"{len(sources)} tasks, {count} at once: about {sum(expected) / count:.0f} s")
            status.update("Measuring")
            # The longest first, so that none of them is alone at the end.
            order = sorted(range(len(sources)), key=lambda number: -expected[number])
            measuring = time.monotonic()
            measured = dict(zip(order, threads.map(evaluate, order), strict=True))
    finally:
        worker_pool.close()
    ended = time.monotonic()
    duration = f"took {ended - measuring:.0f} s, and {measuring - started:.0f} s of counting before"
    return [measured[number] for number in range(len(sources))], duration


def _table(file_tasks: "Sequence[Task]", measured: Sequence[_TimedScore]) -> Table:
    """A row for each task."""
    table = Table("task", "family", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("documents", "BPB", "standard error", "expected s", "took s"):
        table.add_column(name, justify="right")
    for task, row in zip(file_tasks, measured, strict=True):
        error = row.score.standard_error
        table.add_row(
            task.label,
            task.family or "",
            f"{row.score.documents:,}",
            f"{row.score.bpb:.4f}",
            f"{error:.4f}" if error is not None else "",
            f"{row.expected:.1f}",
            f"{row.took:.1f}",
        )
    return table


def _whole_key(keys: list[str], start: str, store_url: str) -> str:
    """The key that begins with `start`. Raises StoreError."""
    matching = [key for key in keys if key.startswith(start)]
    if len(matching) != 1:
        raise StoreError(
            f"{store_url}: found {len(matching)} proxies whose key starts with {start!r}; expected one of {len(keys)},"
            " by as much of its key as tells it from the others"
        )
    return matching[0]
