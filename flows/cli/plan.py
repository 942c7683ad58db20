"""The command `olmix plan`: what a run would execute and cost."""

from typing import Annotated

import typer

from flows.cli.console import console, print_json
from flows.cli.options import ConfigFile, JsonOption


def plan(
    config: ConfigFile,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit with 0: nothing to do, 1: error, 2: changes are pending."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what running CONFIG would execute and cost, without starting or writing anything."""
    from flows.execution import prefect_settings

    prefect_settings.prepare()
    from flows.cli.views import plan_view
    from flows.reports.plan import make_plan
    from olmix_core.config.load import load_config

    result = make_plan(load_config(config), str(config))
    if as_json:
        print_json(result.to_json())
    else:
        console.print(plan_view(result))
    if detailed_exitcode and result.pending:
        raise typer.Exit(2)
