"""The command `olmix swarm export`: the mixtures of a configuration, written out for other trainers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml

from flows.cli.console import console
from flows.cli.options import ConfigFile
from olmix_core.errors import DataError
from olmix_core.interop.exporters.mixtures import MIXTURE_EXPORTERS, SwarmExport

if TYPE_CHECKING:
    FormatName = str
else:  # so that the help and errors name the formats
    FormatName = Literal[tuple(MIXTURE_EXPORTERS)]

swarm = typer.Typer(no_args_is_help=True, help="Write the mixtures of a swarm for other trainers.")

_FORMATS = "; ".join(f"{name}: {exporter.description}" for name, exporter in MIXTURE_EXPORTERS.items()) + "."


@swarm.callback()
def _group() -> None:
    """Keep `export` a command with a name, though it is the only one of the group."""


@swarm.command()
def export(
    config: ConfigFile,
    format: Annotated[FormatName, typer.Option("--format", help=_FORMATS)] = "json",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")] = Path("swarm"),
    template: Annotated[
        Path | None,
        typer.Option(
            "--template", help="With olmix: a launch configuration; everything except name, data and mix is kept."
        ),
    ] = None,
) -> None:
    """Count the domains, draw the mixtures of CONFIG, and write each one for another trainer."""
    from flows.execution import prefect_settings
    from olmix_core.config.load import load_config
    from olmix_core.interop.export import export_mixtures
    from olmix_core.planning.preflight import resolve_inputs

    launch_template = _read_template(template)
    settings = load_config(config)
    inputs = resolve_inputs(settings, str(config))
    prefect_settings.prepare()
    with console.status("Counting and drawing"):
        from flows.swarm import draw_swarm

        mixtures = draw_swarm(settings, str(config), inputs)
    swarm = SwarmExport(
        name=settings.name,
        mixtures=mixtures,
        domains=inputs.domains,
        recipe=inputs.recipe,
        repetition=settings.proposal.repetition,
        template=launch_template,
    )
    files = export_mixtures(output, MIXTURE_EXPORTERS[format], swarm)
    console.print(f"Wrote {len(files)} mixtures and ratios.csv to [bold]{output}[/bold]")


def _read_template(path: Path | None) -> dict[str, Any]:
    """The launch configuration at `path`; empty for None. Raises DataError."""
    if path is None:
        return {}
    try:
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {error}; expected a launch configuration in YAML") from error
    if not isinstance(template, dict):
        raise DataError(f"{path}: found no mapping; expected a launch configuration in YAML")
    return template
