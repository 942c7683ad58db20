"""The command line."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flows.cli.evidence import evidence
from flows.cli.fit import fit
from flows.cli.predict import predict
from flows.cli.store import store_app
from flows.cli.swarm import swarm
from flows.cli.tasks import tasks
from olmix_core.config.execution import RunnerName
from olmix_core.errors import OlmixError

if TYPE_CHECKING:
    from olmix_core.mixes.record import MixRecord

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

StoreOption = Annotated[str, typer.Option("--store", help="The store, where no configuration names it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
MixName = Annotated[
    str | None,
    typer.Argument(help="Name of a mix, or its configuration; may be left out where there is one."),
]


LOG_SECONDS = 10.0  # between lines where the output is no terminal


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of text, one folder or file a domain.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("mix.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> None:
    """Write a commented starter configuration for a folder of text."""
    from olmix_core.data.starter import write_starter

    domains = write_starter(folder, output, overwrite=force)
    console.print(f"Wrote [bold]{output}[/bold] with {domains} domains. Next: olmix run {output}")


@app.command()
def run(
    config: ConfigFile,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Proxies at once; one per GPU, or per core, by default."),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Show the plan first, and ask before anything is spent.")
    ] = False,
    runner: Annotated[
        RunnerName | None,
        typer.Option("--runner", help="Where proxies run: execution.runner of CONFIG where it is left out."),
    ] = None,
) -> None:
    """Find the mixture that CONFIG asks for; what was computed before is not computed again."""
    from flows.execution import prefect_settings as environment
    from olmix_core.config.load import load_config, with_runner
    from olmix_core.planning.preflight import resolve_inputs

    started = time.monotonic()
    loaded = load_config(config)
    if runner is not None:
        loaded = with_runner(loaded, runner, str(config))
    # Before Prefect starts, which takes seconds: a mistake should be told at once.
    resolve_inputs(loaded, str(config))

    environment.prepare()
    if approve:
        from flows.cli.views import plan_view
        from flows.reports.plan import make_plan

        console.print(plan_view(make_plan(loaded, str(config), workers)))
        if not typer.confirm("Run this plan?"):
            console.print("nothing was run")
            return
    with console.status("Starting Prefect"):
        from flows.mix import run_mix
        from olmix_core.mixes.record import MixRecord
        from tasks.runtime import progress

    tracked = progress.begin()
    try:
        with _watch(tracked):
            record = MixRecord.model_validate(run_mix(loaded, str(config), workers))
    except KeyboardInterrupt:
        console.print("\nstopped; what was finished is kept, and the next run goes on from there")
        raise typer.Exit(130) from None
    counts = tracked.accounting()
    console.print(_mix_view(loaded.store, record))
    console.print(_summary(counts, time.monotonic() - started), soft_wrap=True)


@app.command()
def show(
    name: MixName = None,
    store: StoreOption = ".olmix",
    version: Annotated[str | None, typer.Option("--version", help="A version other than the latest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the current mixture."""
    from flows.cli.locate import store_and_name
    from olmix_core.mixes.record import read_mix

    opened, found = store_and_name(name, store)
    record = read_mix(opened, found, version)
    if as_json:
        _print_json(_mix_json(opened, record))
    else:
        console.print(_mix_view(opened.url, record))


@app.command(name="trade-offs")
def trade_offs(
    name: MixName = None,
    store: StoreOption = ".olmix",
    version: Annotated[str | None, typer.Option("--version", help="A version other than the latest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a weaker or stronger pull, more or fewer epochs, or another length of the run would give."""
    from flows.cli.locate import store_and_name
    from flows.cli.views import trade_offs_view
    from olmix_core.mixes.record import read_mix
    from olmix_core.mixes.tables import read_trade_offs

    opened, found = store_and_name(name, store)
    table = read_trade_offs(opened, read_mix(opened, found, version))
    if as_json:
        _print_json(table)
    else:
        console.print(trade_offs_view(table))


@app.command("plan")
def plan_(
    config: ConfigFile,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit with 0: nothing to do, 1: error, 2: changes are pending."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what running CONFIG would execute and cost; nothing is started and nothing written."""
    from flows.execution import prefect_settings as environment

    environment.prepare()
    from flows.cli.views import plan_view
    from flows.reports.plan import make_plan
    from olmix_core.config.load import load_config

    plan = make_plan(load_config(config), str(config))
    if as_json:
        _print_json(plan.to_json())
    else:
        console.print(plan_view(plan))
    if detailed_exitcode and plan.pending:
        raise typer.Exit(2)


@app.command()
def why(
    config: ConfigFile,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[STEP or LEAF]", help="Only this step or leaf, field by field."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why CONFIG would run something again; or, where all is cached, why its last version ran what it did."""
    from flows.execution import prefect_settings as environment

    environment.prepare()
    from flows.cli.views import reasons_view
    from flows.pipeline.forecast import forecast
    from flows.reports.explain import explain, explain_version
    from olmix_core.config.load import load_config
    from olmix_core.mixes.record import read_latest, read_mix
    from olmix_core.storage.store import Store

    loaded = load_config(config)
    store = Store(loaded.store)
    last = read_latest(store, loaded.name)
    found = forecast(loaded, str(config))
    names = dict(found.inputs.domains.labels)
    would_run = not found.is_nothing or last is None
    if would_run or last is None:
        reasons = explain(found, last, store)
    else:
        parent = read_mix(store, loaded.name, last.parent) if last.parent else None
        reasons = explain_version(last, parent, store)
        if not as_json:
            console.print(f"nothing would run again; {last.name} {last.version} ran this:\n")
    if what is not None:
        known = sorted({*found.counts, *names.values()})
        if what not in known:
            raise OlmixError(f"found no step or leaf {what!r}; expected one of: {', '.join(known)}")
        reasons = [reason for reason in reasons if what in (reason.step, reason.label)]
    if as_json:
        _print_json({"would_run": would_run, "reasons": [reason.to_json() for reason in reasons]})
    else:
        console.print(reasons_view(reasons, names, detailed=what is not None))


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="NAME, NAME@VERSION, or VERSION where there is one mix.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, to compare with.")],
    store: StoreOption = ".olmix",
    as_json: JsonOption = False,
) -> None:
    """Compare two published mixtures: leaves, weights, settings, evidence."""
    from flows.cli.locate import open_store
    from flows.cli.views import differences_view
    from olmix_core.mixes.history import differences, find_record

    opened = open_store(store)
    found = differences(find_record(opened, a), find_record(opened, b))
    if as_json:
        _print_json(found.to_json())
    else:
        console.print(differences_view(found))


@app.command()
def history(name: MixName = None, store: StoreOption = ".olmix", as_json: JsonOption = False) -> None:
    """Show the versions of a mix: what changed, what it cost, and what full recomputation would have cost."""
    from flows.cli.locate import store_and_name
    from flows.cli.views import history_view
    from olmix_core.mixes.history import history as lineage

    opened, found = store_and_name(name, store)
    rows = lineage(opened, found)
    if as_json:
        _print_json([row.to_json() for row in rows])
    else:
        console.print(history_view(rows))


app.command()(predict)
app.command()(fit)
app.add_typer(tasks, name="tasks")
app.add_typer(swarm, name="swarm")
app.add_typer(evidence, name="evidence")
app.add_typer(store_app, name="store")


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1))


def _mix_view(store: str, record: "MixRecord") -> Any:
    from flows.cli.live import mix_view
    from olmix_core.storage.store import Store

    folder, rows = _mixture(Store(store), record)
    return mix_view(record, rows, folder)


def _mix_json(store: Any, record: "MixRecord") -> dict[str, Any]:
    """docs/schemas/show.json"""
    folder, rows = _mixture(store, record)
    mixture = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    columns = ("name", "weight", "natural", "previous", "proposed")
    tasks, whole = [task.to_json() for task in record.tasks], record.to_json()
    return {
        **{name: whole[name] for name in ("name", "version", "parent", "created")},
        "folder": folder,
        "target_tokens": record.target_tokens,
        "mixture": mixture,
        "tasks": [{name: values[name] for name in columns if name in values} for values in tasks],
        **{name: whole[name] for name in ("predicted", "gain", "proxies", "flags", "notes")},
    }


def _mixture(store: Any, record: "MixRecord") -> tuple[str, list[dict[str, Any]]]:
    """The folder of a published mix, and the rows of its mix.csv."""
    from olmix_core.mixes.tables import read_table
    from olmix_core.storage.layout import TABLE_FILE, version_folder

    folder = version_folder(record.name, record.version)
    rows: list[Any] = read_table(store.read_bytes(f"{folder}/{TABLE_FILE}")).to_dict("records")
    return f"{store.url}/{folder}", rows


def _summary(counts: dict[str, dict[str, int]], seconds: float) -> str:
    executed = {step: n["executed"] for step, n in counts.items() if n["executed"] and step != "publish"}
    cached = sum(n["cached"] for n in counts.values())
    carried, kept = counts.get("evidence", {"reused": 0})["reused"], counts.get("plan", {"reused": 0})["reused"]
    parts = [f"ratios of {kept} leaves"] if kept else []
    reused = ", ".join([*parts, f"evidence of {carried} proxies"] if carried else parts)
    if executed:
        what = ", ".join(f"{step} {n}" for step, n in executed.items())
        words = f"executed: {what}; cached: {cached}"
        if reused:
            words += f"; reused: {reused}"
    else:
        words = f"everything was cached: {cached} results, nothing trained, nothing evaluated"
    return f"[bold]run[/bold]    {words}; {seconds:.0f} s"


@contextmanager
def _watch(tracked: Any) -> Iterator[None]:
    """Show the steps while they run: live in a terminal, a line now and then in a log."""
    from rich.live import Live

    from flows.cli.live import LiveSteps, line

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


def main() -> None:
    """The console script: errors of users are one message and status 1."""
    try:
        app()
    except OlmixError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]error[/bold red] {_escaped(error)}", soft_wrap=True)
        sys.exit(1)


def _escaped(error: OlmixError) -> str:
    from rich.markup import escape

    return escape(str(error))
