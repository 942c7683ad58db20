"""The command `olmix why`: the causes of execution."""

from typing import Annotated

import typer

from flows.cli.console import console, print_json
from flows.cli.options import ConfigFile, JsonOption
from olmix_core.errors import OlmixError


def why(
    config: ConfigFile,
    subject: Annotated[
        str | None,
        typer.Argument(metavar="[STEP or LEAF]", help="Only this step or leaf, field by field."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why CONFIG would run steps again or, if all is cached, why its last version ran them."""
    from flows.execution import prefect_settings

    prefect_settings.prepare()
    from flows.cli.views import reasons_view
    from flows.pipeline.forecast import forecast
    from flows.reports.explain import explain, explain_version
    from olmix_core.config.load import load_config
    from olmix_core.mixes.versions import read_latest, read_mix

    settings = load_config(config)
    prospect = forecast(settings, str(config))
    store = prospect.inputs.store
    last = read_latest(store, settings.name)
    labels = dict(prospect.inputs.domains.labels)
    would_run = not prospect.is_nothing or last is None
    if would_run or last is None:
        reasons = explain(prospect, last, store)
    else:
        parent = read_mix(store, settings.name, last.parent) if last.parent else None
        reasons = explain_version(last, parent, store)
        if not as_json:
            console.print(f"nothing would run again; {last.name} {last.version} ran this:\n")
    if subject is not None:
        choices = sorted({*prospect.counts, *labels.values()})
        if subject not in choices:
            raise OlmixError(f"found no step or leaf {subject!r}; expected one of: {', '.join(choices)}")
        reasons = [reason for reason in reasons if subject in (reason.step, reason.label)]
    if as_json:
        print_json({"would_run": would_run, "reasons": [reason.to_json() for reason in reasons]})
    else:
        console.print(reasons_view(reasons, labels, detailed=subject is not None))
