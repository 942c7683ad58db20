"""The law at the size of the target run, and the larger proxies that it is carried there with."""

from collections.abc import Mapping, Sequence

from flows.pipeline.context import RunContext
from flows.pipeline.evaluate_swarm import measure
from flows.pipeline.swarm_round import requirements, unmeasured_rows
from flows.pipeline.train_swarm import train_swarm
from olmix_core.evidence.anchors import anchors_on_record
from olmix_core.evidence.ledger import set_name
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.evidence.scales import scale_of
from olmix_core.mixes.versions import next_version
from olmix_core.mixture import Mixture
from olmix_core.planning.anchor_choice import representative
from olmix_core.surrogate.scaling.scale import Scale
from tasks.steps.evidence import EvidencePayload, evidence
from tasks.steps.fit import FitPayload
from tasks.steps.transfer import TransferPayload, transfer


def carry_to_target(
    context: RunContext, fitted: FitPayload, trained: Sequence[EvidenceRow], corpora: Mapping[str, str]
) -> None:
    """Carry the law to the size of the target run, if the configuration states one.

    Args:
        context: The run, once its law is fitted; its state is filled.
        fitted: What the law was fitted to.
        trained: Larger proxies of this run, not measured yet; those on record are added.
        corpora: {leaf: folder of its tokens}.

    Raises:
        OlmixError: A step failed.
    """
    target, state, executor = context.config.proposal.target, context.state, context.executor
    if target is None:
        return
    rows = _measured(context, trained, corpora)
    scale = scale_of(context.recipe)
    assert scale is not None  # of a recipe of this version
    on_record = anchors_on_record(context.store, requirements(context), fitted.atoms, fitted.splits, scale)
    carried = [row for row in on_record if row not in {own.id for own in rows}]
    anchors = None
    if rows or carried:
        anchors = executor.run(
            evidence,
            EvidencePayload(set_name({*carried, *(row.id for row in rows)}), None),
            added=rows,
            carried=carried,
            pooled=[],
        ).evidence
    state.transfer = executor.run(
        transfer,
        TransferPayload(
            fit=state.fit.fit,
            scale=scale,
            target=Scale(target.parameters, target.tokens),
            splits=fitted.splits,
            anchors=anchors,
        ),
    )


def train_anchors(context: RunContext, mixtures: Sequence[Mixture], corpora: Mapping[str, str]) -> list[EvidenceRow]:
    """Train the larger proxies that the configuration asks for.

    Args:
        context: The run, once its swarm is drawn.
        mixtures: Mixtures of the swarm; they train on those that represent it best.
        corpora: {leaf: folder of its tokens}.

    Returns:
        Their rows, to be measured.

    Raises:
        OlmixError: A proxy could not be trained, or too many diverged.
    """
    rows: list[EvidenceRow] = []
    for recipe, count in context.inputs.anchors:
        parameters = recipe.parameters(vocab_size=0)
        numbers = sorted(representative(mixtures, count))
        names = [f"anchor {parameters / 1e6:.3g}M {number:03d}" for number in numbers]
        trained = train_swarm(context, [mixtures[number] for number in numbers], corpora, recipe, names)
        context.state.excluded += trained.excluded
        rows += unmeasured_rows(context, trained, recipe, "anchors")
    context.state.anchors_to_come = len(rows)
    return rows


def _measured(context: RunContext, rows: Sequence[EvidenceRow], corpora: Mapping[str, str]) -> list[EvidenceRow]:
    source = f"{context.config.name}@{next_version(context.store, context.config.name)}"
    measured = list(measure(context, rows, [], corpora, source).rows) if rows else []
    context.state.anchors_to_come = 0
    return measured
