"""The plan as markdown, for an artifact in the Prefect UI."""

from dataclasses import asdict

from flows.reports.plan import Plan
from olmix_core.report.markdown import table


def plan_markdown(plan: Plan) -> str:
    """Format a plan: its cost, a table of leaves, a table of steps, and notes.

    Args:
        plan: The plan.

    Returns:
        A markdown page.
    """
    cost, full = plan.cost, plan.alternatives["full_recompute"]
    leaves = [
        {"domain": leaf.domain, "change": leaf.change, "cause": leaf.cause, "action": leaf.action}
        for leaf in plan.leaves
    ]
    lines = [
        f"# Plan for {plan.name}",
        "",
        f"Strategy **{plan.strategy}**: **{cost.proxies}** proxies to train, {cost.tokens:,} tokens; full"
        f" recomputation would train {full.proxies}.",
        "",
        *table(leaves),
        "",
        *table([{"step": step, **asdict(counts)} for step, counts in plan.steps.items()]),
    ]
    lines += [f"\n{note}" for note in plan.notes]
    return "\n".join(lines) + "\n"
