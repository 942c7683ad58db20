"""The command `olmix run`: find the mixture that a configuration asks for, and publish it."""

import time
from collections.abc import Mapping
from typing import Annotated

import typer

from flows.cli.console import console
from flows.cli.options import ConfigFile
from olmix_core.config.execution import RunnerName


def run(
    config: ConfigFile,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Number of proxies at once; default: one per GPU or core."),
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Show the plan and ask before anything is spent.")] = False,
    runner: Annotated[
        RunnerName | None,
        typer.Option("--runner", help="Where proxies run; default: execution.runner of CONFIG."),
    ] = None,
) -> None:
    """Find and publish the mixture for CONFIG. Cached results are not computed again."""
    from flows.cli.show import view_of
    from flows.execution import prefect_settings
    from olmix_core.config.load import load_config, with_runner
    from olmix_core.planning.preflight import resolve_inputs

    started = time.monotonic()
    settings = load_config(config)
    if runner is not None:
        settings = with_runner(settings, runner, str(config))
    # Before Prefect starts, which takes seconds: mistakes are reported at once.
    inputs = resolve_inputs(settings, str(config))

    prefect_settings.prepare()
    if approve:
        from flows.cli.views import plan_view
        from flows.reports.plan import make_plan

        console.print(plan_view(make_plan(settings, str(config), workers, inputs)))
        if not typer.confirm("Run this plan?"):
            console.print("nothing was run")
            return
    with console.status("Starting Prefect"):
        from flows.cli.live import showing
        from flows.mix import run_mix
        from tasks.runtime import progress

    run_progress = progress.begin()
    try:
        with showing(run_progress, console):
            record = run_mix(settings, str(config), workers, inputs=inputs)
    except KeyboardInterrupt:
        console.print("\nstopped; finished results are kept, and the next run continues from there")
        raise typer.Exit(130) from None
    counts = run_progress.accounting()
    console.print(view_of(inputs.store, record))
    console.print(_summary(counts, time.monotonic() - started), soft_wrap=True)


def _summary(counts: Mapping[str, Mapping[str, int]], seconds: float) -> str:
    """One line: what was executed, cached and reused."""
    from tasks.steps.evidence import evidence
    from tasks.steps.plan import plan
    from tasks.steps.publish import PUBLISH

    executed = {step: n["executed"] for step, n in counts.items() if n["executed"] and step != PUBLISH.name}
    cached = sum(n["cached"] for n in counts.values())
    if executed:
        steps = ", ".join(f"{step} {n}" for step, n in executed.items())
        text = f"executed: {steps}; cached: {cached}"
        ratios, proxies = (counts[step]["reused"] if step in counts else 0 for step in (plan.name, evidence.name))
        reused = [f"ratios of {ratios} leaves"] if ratios else []
        reused += [f"evidence of {proxies} proxies"] if proxies else []
        if reused:
            text += f"; reused: {', '.join(reused)}"
    else:
        text = f"everything was cached: {cached} results, nothing trained, nothing evaluated"
    return f"[bold]run[/bold]    {text}; {seconds:.0f} s"
