"""Two versions of a mix as markdown, for an artifact in the Prefect UI."""

from olmix_core.mixes.history import MixDifference
from olmix_core.report.markdown import table


def difference_markdown(difference: MixDifference) -> str:
    """Format two versions side by side: predictions, weights, settings and tasks.

    Args:
        difference: The versions `a` and `b`.

    Returns:
        A markdown page.
    """
    sides = list(zip("ab", difference.sides, strict=True))
    predictions: list[dict[str, str | int]] = [
        {
            "": letter,
            "version": side.name,
            "predicted mean BPB": f"{side.predicted.bpb:.4f}",
            "90 % interval": f"{side.predicted.low:.4f} to {side.predicted.high:.4f}",
            "proxies of its swarm": side.evidence.swarm,
            "carried over": side.evidence.carried_over,
        }
        for letter, side in sides
    ]
    weights = [
        {
            "domain": leaf.domain,
            "a": _weight(leaf.a),
            "b": _weight(leaf.b),
            "difference": f"{(leaf.b or 0.0) - (leaf.a or 0.0):+.4f}",
            "content": leaf.change or "the same",
        }
        for leaf in difference.leaves
    ]
    settings = [{"field": setting.field, "a": str(setting.a), "b": str(setting.b)} for setting in difference.settings]
    tasks = [f"- only in {letter}: {', '.join(side.only_tasks)}" for letter, side in sides if side.only_tasks]
    lines = [
        f"# {difference.a.name} and {difference.b.name}",
        "",
        *table(predictions),
        "",
        "## Weights",
        "",
        *table(weights),
        "",
        "## Settings",
        "",
        *(table(settings) or ["The same."]),
        "",
        "## Tasks",
        "",
        *(tasks or ["The same."]),
    ]
    return "\n".join(lines) + "\n"


def _weight(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
