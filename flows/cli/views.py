"""How plans, reasons, lineages and differences look in a terminal."""

from collections.abc import Sequence
from typing import Any

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
    """Show what happens to every leaf and step, and what it costs."""
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


def reasons_view(reasons: Sequence[Reason], names: dict[str, str], detailed: bool) -> Group:
    if not reasons:
        return Group(Text("nothing would run again: everything is cached", style="green"))
    table = _table("step", ">results", "cause", "root")
    for reason in reasons:
        chain = f" (through {' <- '.join(reason.chain)})" if reason.chain else ""
        step = f"{reason.step} {reason.label}" if reason.step == "statistics" else reason.step
        table.add_row(Text(step), str(reason.count), reason.cause, Text(reason.root + chain))
    parts: list[RenderableType] = [table]
    if detailed:
        fields = _table("field", "old", "new", "from")
        for reason in reasons:
            for one in reason.differences:
                fields.add_row(Text(named(one.field, names)), shown(one.old), shown(one.new), one.source)
        parts += [Text(), fields]
    return Group(*parts)


def history_view(rows: Sequence[VersionSummary]) -> Group:
    table = _table("version", "date", "on", "change", ">trained", ">cached", ">carried", ">full", ">gain")
    for row in rows:
        change = ", ".join(f"{count} {kind}" for kind, count in row.change.items()) or "-"
        counts = [str(count) for count in (row.proxies, row.cached, row.carried_over, row.full_recompute)]
        gain = f"{row.gain / row.natural:.1%}"
        table.add_row(row.version, row.created[:10], row.builds_on or "-", change, *counts, gain)
    for column in table.columns:
        column.no_wrap = column.header != "change"
    spent = sum(row.proxies for row in rows)
    # A version with the domain set of its parent needs no swarm of its own.
    full = sum(row.full_recompute for row in rows if row.needs_swarm)
    words = (
        "\ntrained: proxies of this version; carried: of earlier ones that inform it; full: what full recomputation"
        f" would take; gain: predicted, over natural\nproxies trained: {spent}; full recomputation at every change of"
        f" the domain set: {full}"
    )
    return Group(table, Text(words))


def differences_view(found: MixDifference) -> Group:
    def weight(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    parts: list[RenderableType] = [Text(f"a: {found.a.name}   b: {found.b.name}\n", style="bold")]
    leaves = _table("domain", ">a", ">b", ">b - a", "")
    for row in found.leaves:
        difference = "" if row.a is None or row.b is None else f"{row.b - row.a:+.4f}"
        leaves.add_row(Text(row.domain), weight(row.a), weight(row.b), difference, row.change)
    parts += [leaves, Text()]
    other = _table("", "a", "b")
    for setting in found.settings:
        other.add_row(setting.field, shown(setting.a), shown(setting.b))
    other.add_row("only these tasks", *(", ".join(side.only_tasks) for side in found.sides))
    evidence = [side.evidence for side in found.sides]
    other.add_row("evidence", *(f"{of.id}: {of.swarm} + {of.carried_over} carried over" for of in evidence))
    predicted = [side.predicted for side in found.sides]
    other.add_row("predicted BPB", *(f"{of.bpb:.4f} ({of.low:.4f} to {of.high:.4f})" for of in predicted))
    parts.append(other)
    return Group(*parts)


_WISHES = {"kl": "pull (kl)", "repetition": "epochs at most", "target_tokens": "tokens of the run"}


def trade_offs_view(rows: Sequence[dict[str, Any]]) -> Group:
    if not rows:
        return Group(Text("no trade-offs are on record: every proposal of this family of surrogates takes a search"))
    table = _table("wish", ">value", ">BPB", ">gain", ">90 % interval", ">KL", ">at cap")
    last = ""
    for row in rows:
        wish = row["parameter"]
        name = "" if wish == last else _WISHES[wish]
        value = amount(row["value"]) if wish == "target_tokens" else f"{row['value']:g}"
        if row["bpb"] is None:
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
        last = wish
    return Group(
        table,
        Text("\nin bold: what was asked for; gain and KL are over natural", style="dim"),
    )
