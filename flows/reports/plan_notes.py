"""Remarks of a plan."""

from flows.execution.dry_run import Counts
from flows.pipeline.forecast import Forecast
from olmix_core.config.recipe import caution
from olmix_core.data.overlap.remarks import file_remarks, overlap_remarks
from olmix_core.evidence.compatibility import describe_exclusions
from tasks.steps.overlap import overlap
from tasks.steps.train import train


def plan_notes(prospect: Forecast) -> list[str]:
    """Write what a reader of a plan should know besides its tables.

    Args:
        prospect: What a run would do.

    Returns:
        The remarks.
    """
    outcome = prospect.outcome
    leaves = prospect.inputs.domains.leaves
    notes = [f"{leaf.label}: skips {leaf.skipped}" for leaf in leaves if leaf.skipped]
    notes += [f"{leaf.label}: {leaf.sample.describe()}" for leaf in leaves if leaf.sample is not None]
    notes += file_remarks(prospect.inputs.domains)
    if not prospect.counts[overlap.name].executed:
        notes += overlap_remarks(outcome.overlap, prospect.inputs.labels)
    elif prospect.counts.get(train.name, Counts()).cached:
        notes.append(
            "held-out text and text of tasks is looked for in all domains first; proxies of domains that hold more of"
            " it than before are trained again"
        )
    if outcome.base.change is not None:
        notes += outcome.base.change.notes
    if outcome.pool.proxies:
        notes.append(f"the law learns from {_proxies(outcome.pool.proxies)} of other swarms on record as well")
    if outcome.left_out:
        notes.append(f"proxies on record that are left out: {describe_exclusions(outcome.left_out)}")
    if outcome.pool.later:
        notes.append(
            f"{_proxies(outcome.pool.later)} recorded since could be used too, and will be once domains, tasks, swarm,"
            " recipe or imports are others"
        )
    if outcome.to_come:
        later = sum(outcome.to_come)
        notes.append(f"trained in rounds: at most as many proxies as said, {later} of them in later rounds")
    warning = caution(prospect.inputs.recipe.parameters(prospect.inputs.vocab_size))
    if warning and prospect.counts.get(train.name, Counts()).executed:
        notes.append(warning)
    if prospect.run.estimated:
        notes.append("tokens of leaves that were never counted are estimated from their size")
    return notes


def _proxies(count: int) -> str:
    return "1 proxy" if count == 1 else f"{count} proxies"
