"""report.html: one file with everything in it, that opens from disk and loads nothing."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from olmix_core.formatting import amount, duration
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import FitRecord, MixRecord
from olmix_core.report.charts import charts
from olmix_core.report.mixture import by_source
from olmix_core.report.style import to_svg
from olmix_core.report.whatif import whatif
from olmix_core.surrogate.intervals import REAL, Interval


def report_html(mix: PublishedMix) -> bytes:
    """Render the page of a mix.

    Args:
        mix: The mix.

    Returns:
        The page, UTF-8.
    """
    environment = Environment(
        loader=PackageLoader("olmix_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": amount, "duration": duration, "percent": _percent, "number": _number}
    drawn = {}
    for name, chart in charts(mix).items():
        svg = to_svg(chart.figure(), name, f"{chart.title}. {chart.alternative}")
        # Made by matplotlib, which escapes what it draws.
        drawn[name] = {"chart": chart, "svg": Markup(svg)}
    page = environment.get_template("report.html.j2").render(
        mix=mix,
        record=mix.record,
        target=mix.record.target if isinstance(mix.record, MixRecord) else None,
        is_published=isinstance(mix.record, MixRecord),
        settings=mix.record.settings.to_json(),
        figures=drawn,
        rows=_rows(mix),
        changes=_changes(mix),
        verdicts=verdicts(mix),
        costs=costs(mix),
        errors=_errors(mix),
        whatif=whatif(mix),
        style=Markup(_source("report.css")),
        scripts=Markup(_source("tables.js") + _source("whatif.js")),
    )
    return page.encode()


@dataclass(frozen=True)
class GainVerdict:
    """The gain of the proposed mixture over another one.

    Attributes:
        over: Name of the other mixture.
        gain: The gain, BPB.
        share: The gain as a share of the BPB of the other mixture.
    """

    over: str
    gain: Interval
    share: float

    @property
    def is_real(self) -> bool:
        """Whether the 90 % interval of the gain lies above 0."""
        return self.gain.verdict == REAL


def verdicts(mix: PublishedMix) -> list[GainVerdict]:
    """Compare the proposed mixture with the natural and the previous one.

    Args:
        mix: The mix.

    Returns:
        A verdict for each of them that the law can predict.
    """
    rows = []
    for name in ("natural", "previous"):
        gain = mix.record.gain.get(f"over_{name}")
        if gain is not None:
            rows.append(GainVerdict(name, gain, gain.bpb / mix.record.predicted[name].bpb))
    return rows


def costs(mix: PublishedMix) -> list[tuple[str, str]]:
    """Describe what the mixture rests on and what it cost.

    Args:
        mix: The mix.

    Returns:
        (name, value) for people.
    """
    record = mix.record
    if isinstance(record, FitRecord):
        counts = record.evidence
        return [("runs on record", str(counts.runs)), ("runs held out", str(counts.held_out))]
    proxies, run = record.proxies, record.training
    rows = [
        ("proxies trained", str(run.executed)),
        ("cached", str(run.cached)),
        ("reused from earlier versions", str(proxies.carried_over)),
    ]
    if proxies.swarm:
        rows.append(("training", f"{amount(proxies.tokens)} tokens, {duration(proxies.seconds)} of one worker"))
    full = f"{proxies.full_recompute} proxies"
    tokens, per_token = record.settings.proxy.tokens, record.speed.train_seconds_per_token
    if per_token is not None:
        seconds = proxies.full_recompute * tokens * per_token
        full += f", {duration(seconds)} of one worker"
    return [*rows, ("full recomputation would take", full)]


def _rows(mix: PublishedMix) -> list[dict[str, Any]]:
    """The rows of the table of leaves, by source."""
    return _records(by_source(mix.table))


def _changes(mix: PublishedMix) -> list[dict[str, str]]:
    """What happened to each leaf since the base, and what was done about it; the changed ones first."""
    if isinstance(mix.record, FitRecord) or not mix.record.change:
        return []
    change, plan = mix.record.change, mix.record.plan
    falls = {leaf.leaf: leaf.fall for leaf in plan.coupling.released} if plan.coupling else {}
    rows = []
    for leaf, kind in change.items():
        if leaf in plan.kept:
            action = "its ratio to the other kept leaves is kept"
        elif leaf in falls:
            action = f"explored again: releasing it takes {falls[leaf]:.0%} off the coupling"
        elif leaf in plan.released:
            action = "explored again, as the configuration asks"
        else:
            action = "explored"
        rows.append({"domain": leaf, "change": kind, "action": action})
    rows += [
        {"domain": leaf, "change": "removed", "action": "weight 0; what was learnt of it stays in the law"}
        for leaf in mix.record.removed
    ]
    return sorted(rows, key=lambda row: (row["change"] == "unchanged", row["domain"]))


def _errors(mix: PublishedMix) -> list[dict[str, Any]]:
    """diagnostics.csv, the objective first, then the worst tasks first."""
    table = mix.diagnostics.sort_values("spearman", na_position="first", kind="stable")
    order = ["objective", *(task for task in table.index if task != "objective")]
    return _records(table.loc[order].reset_index())


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, None for what is missing."""
    rows = table.astype(object).to_dict("records")
    return [{str(name): None if value != value else value for name, value in row.items()} for row in rows]


def _percent(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _source(name: str) -> str:
    return files("olmix_core.report").joinpath(name).read_text(encoding="utf-8")
