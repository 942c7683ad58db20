"""How plans, reasons, histories, differences and trade-offs look in a terminal."""

from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows.reports.explain import Reason, named, shown
from flows.reports.plan import UNTOUCHED, Plan
from olmix_core.formatting import amount, duration
from olmix_core.mixes.history import MixDifference, VersionSummary
from tasks.runtime.registry import STEPS


def _table(*columns: str) -> Table:
    """Columns whose names begin with > are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        name = column.removeprefix(">")
        table.add_column(name, justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def plan_view(plan: Plan) -> Group:
    """Show a plan: what happens to every leaf and step, and what it costs.

    Args:
        plan: The plan.

    Returns:
        The view.
    """
    parts: list[RenderableType] = []
    builds = f", builds on {plan.builds_on}" if plan.builds_on else ""
    parts.append(Text(f"plan for {plan.name}: strategy {plan.strategy}{builds}\n", style="bold"))
    leaves = _table("domain", "change", "cause", "action", ">coupling")
    for leaf in plan.leaves:
        style = "" if leaf.change in UNTOUCHED else "yellow"
        fall = "" if leaf.coupling_fall is None else f"-{leaf.coupling_fall:.0%}"
        action = leaf.action + (", count its tokens" if leaf.count else "")
        leaves.add_row(Text(leaf.domain), leaf.change, leaf.cause, action, fall, style=style)
    parts += [leaves, Text()]
    steps = _table("step", ">executed", ">cached", ">reused")
    for stage in STEPS:
        if stage.name in plan.steps:
            counts = plan.steps[stage.name]
            steps.add_row(stage.name, *(str(count or "·") for count in (counts.executed, counts.cached, counts.reused)))
    parts += [steps, Text()]
    if plan.coupling is not None:
        parts.append(
            Text(
                f"coupling of kept and recomputed leaves: {plan.coupling.before:.4g}, after release"
                f" {plan.coupling.after:.4g}; the column says what releasing a leaf alone would take away\n"
            )
        )
    costs = _table("cost", ">proxies", ">tokens", ">evaluations", ">time")
    for name, cost in {f"this plan ({plan.strategy})": plan.cost, **plan.alternatives}.items():
        seconds = "unknown" if cost.seconds is None else f"about {duration(cost.seconds)}"
        costs.add_row(name, str(cost.proxies), amount(cost.tokens), str(cost.evaluations), seconds)
    parts.append(costs)
    parts += [Text(f"note: {note}", style="yellow") for note in plan.notes]
    if not plan.pending:
        parts.append(Text("\nnothing to do: everything is cached and published", style="green"))
    return Group(*parts)


def reasons_view(reasons: Sequence[Reason], labels: Mapping[str, str], detailed: bool) -> Group:
    """Show why steps are executed.

    Args:
        reasons: The reasons.
        labels: {fingerprint: label} of leaves.
        detailed: Whether to show every field that differs.

    Returns:
        The view.
    """
    if not reasons:
        return Group(Text("nothing would run again: everything is cached", style="green"))
    table = _table("step", ">results", "cause", "root")
    for reason in reasons:
        chain = f" (through {' <- '.join(reason.chain)})" if reason.chain else ""
        table.add_row(Text(reason.title), str(reason.count), reason.cause, Text(reason.root + chain))
    parts: list[RenderableType] = [table]
    if detailed:
        fields = _table("field", "old", "new", "from")
        for reason in reasons:
            for difference in reason.differences:
                values = shown(difference.old), shown(difference.new)
                fields.add_row(Text(named(difference.field, labels)), *values, difference.source)
        parts += [Text(), fields]
    return Group(*parts)


def history_view(versions: Sequence[VersionSummary]) -> Group:
    """Show the versions of a mix, and what they cost.

    Args:
        versions: The versions, oldest first.

    Returns:
        The view.
    """
    table = _table("version", "date", "on", "change", ">trained", ">cached", ">carried", ">full", ">gain")
    for version in versions:
        change = ", ".join(f"{count} {kind}" for kind, count in version.change.items()) or "-"
        counts = (version.proxies, version.cached, version.carried_over, version.full_recompute)
        cells = [str(count) for count in counts]
        gain = f"{version.gain / version.natural:.1%}"
        table.add_row(version.version, version.created[:10], version.builds_on or "-", change, *cells, gain)
    for column in table.columns:
        column.no_wrap = column.header != "change"
    spent = sum(version.proxies for version in versions)
    # A version with the domain set of its parent needs no swarm of its own.
    full = sum(version.full_recompute for version in versions if version.needs_swarm)
    legend = (
        "\ntrained: proxies of this version; carried: of earlier ones that inform it; full: what full recomputation"
        f" would take; gain: predicted, over natural\nproxies trained: {spent}; full recomputation at every change of"
        f" the domain set: {full}"
    )
    return Group(table, Text(legend))


def differences_view(difference: MixDifference) -> Group:
    """Show two versions side by side.

    Args:
        difference: The versions `a` and `b`.

    Returns:
        The view.
    """
    parts: list[RenderableType] = [Text(f"a: {difference.a.name}   b: {difference.b.name}\n", style="bold")]
    leaves = _table("domain", ">a", ">b", ">b - a", "")
    for leaf in difference.leaves:
        change = "" if leaf.a is None or leaf.b is None else f"{leaf.b - leaf.a:+.4f}"
        leaves.add_row(Text(leaf.domain), _weight(leaf.a), _weight(leaf.b), change, leaf.change)
    parts += [leaves, Text()]
    other = _table("", "a", "b")
    for setting in difference.settings:
        other.add_row(setting.field, shown(setting.a), shown(setting.b))
    other.add_row("only these tasks", *(", ".join(side.only_tasks) for side in difference.sides))
    evidence = [side.evidence for side in difference.sides]
    other.add_row("evidence", *(f"{part.id}: {part.swarm} + {part.carried_over} carried over" for part in evidence))
    predicted = [side.predicted for side in difference.sides]
    other.add_row("predicted BPB", *(f"{bpb.bpb:.4f} ({bpb.low:.4f} to {bpb.high:.4f})" for bpb in predicted))
    parts.append(other)
    return Group(*parts)


def _weight(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


_SETTINGS = {"kl": "pull (kl)", "repetition": "epochs at most", "target_tokens": "tokens of the run"}


def trade_offs_view(trade_offs: pd.DataFrame) -> Group:
    """Show what other settings of the proposal would give.

    Args:
        trade_offs: Trade_offs.csv, a row per value of a setting.

    Returns:
        The view.
    """
    if trade_offs.empty:
        return Group(Text("no trade-offs are on record: every proposal of this family of surrogates takes a search"))
    table = _table("setting", ">value", ">BPB", ">gain", ">90 % interval", ">KL", ">at cap")
    last = ""
    for row in trade_offs.to_dict("records"):
        name = "" if row["parameter"] == last else _SETTINGS[row["parameter"]]
        value = amount(row["value"]) if row["parameter"] == "target_tokens" else f"{row['value']:g}"
        if pd.isna(row["bpb"]):
            table.add_row(name, value, "no mixture is possible", style="dim")
        else:
            table.add_row(
                name,
                value,
                f"{row['bpb']:.4f}",
                f"{row['gain']:.4f}",
                f"{row['gain_low']:.4f} to {row['gain_high']:.4f}",
                f"{row['divergence']:.3f}",
                f"{row['at_cap']:.0f}",
                style="bold" if row["asked"] else "",
            )
        last = row["parameter"]
    return Group(table, Text("\nin bold: as published; gain and KL are over natural", style="dim"))
