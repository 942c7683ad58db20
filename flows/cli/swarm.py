"""`olmix swarm`: the mixtures of a configuration, written out for trainers that are not ours."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml
from rich.console import Console

from olmix_core.errors import DataError
from olmix_core.interop.exporters.mixtures import MIXTURE_EXPORTERS, SwarmExport

if TYPE_CHECKING:
    from olmix_core.config.config import Config

    FormatName = str
else:  # so that the help and errors name the formats
    FormatName = Literal[tuple(MIXTURE_EXPORTERS)]

swarm = typer.Typer(no_args_is_help=True, help="Write the mixtures of a swarm for other trainers.")
console = Console(highlight=False)

_FORMATS = "; ".join(f"{name}: {exporter.description}" for name, exporter in MIXTURE_EXPORTERS.items()) + "."


@swarm.callback()
def _group() -> None:
    """Keeps `export` a command of its own name, though it is the only one."""


@swarm.command()
def export(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")],
    format: Annotated[FormatName, typer.Option("--format", help=_FORMATS)] = "json",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")] = Path("swarm"),
    template: Annotated[
        Path | None,
        typer.Option("--template", help="With olmix: a launch configuration, of which all but name, data, mix stays."),
    ] = None,
) -> None:
    """Count the domains, draw the mixtures that CONFIG asks for, and write each for another trainer."""
    from flows.execution import prefect_settings as environment
    from olmix_core.config.load import load_config
    from olmix_core.interop.export_mixtures import export_mixtures
    from olmix_core.planning.preflight import resolve_inputs

    base = _template(template)
    loaded = load_config(config)
    inputs = resolve_inputs(loaded, str(config))
    environment.prepare()
    with console.status("Counting and drawing"):
        mixtures = drawn(loaded, str(config))
    swarm = SwarmExport(
        name=loaded.name,
        mixtures=mixtures,
        domains=inputs.domains,
        recipe=inputs.recipe,
        repetition=loaded.proposal.repetition,
        template=base,
    )
    files = export_mixtures(output, MIXTURE_EXPORTERS[format], swarm)
    console.print(f"Wrote {len(files)} mixtures and ratios.csv to [bold]{output}[/bold]")


def _template(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {error}; expected a launch configuration in YAML") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: found no mapping; expected a launch configuration in YAML")
    return found


def drawn(config: "Config", config_file: str) -> list[dict[str, float]]:
    """The mixtures that a run of `config` would train on, {content: weight}; what they depend on is executed."""
    from prefect import flow

    from flows.execution.executor import P, PrefectExecutor, R
    from flows.pipeline.context import RunContext
    from flows.pipeline.pipeline import run_chain
    from flows.pipeline.run_state import RunState
    from olmix_core.planning.base import find_base
    from olmix_core.planning.preflight import resolve_inputs
    from olmix_core.storage.store import Store
    from tasks.runtime.artifacts import Artifacts
    from tasks.runtime.step import Call, Step
    from tasks.steps.train import TrainPayload

    class Reached(Exception):
        """Training would begin."""

    class UntilTraining(PrefectExecutor):
        def run_all(self, step: Step[P, R], calls: Iterable[Call[P]]) -> list[R]:
            if step.name == "train":
                payloads = (call.payload for call in calls)
                mixtures.extend(dict(payload.mixture) for payload in payloads if isinstance(payload, TrainPayload))
                raise Reached
            return super().run_all(step, calls)

    mixtures: list[dict[str, float]] = []
    store = Store(config.store)
    store.preflight()

    @flow(name="swarm", flow_run_name=config.name, persist_result=False)
    def draw() -> None:
        inputs = resolve_inputs(config, config_file)
        executor = UntilTraining(store, Artifacts(config.name, store, inputs.domains.labels), config.execution)
        try:
            run_chain(RunContext(config, config_file, inputs, executor, RunState(find_base(config, inputs))))
        except Reached:
            return

    draw()
    return mixtures
