"""Step `transfer`: carries a law to the size of the target run. Key: the law, the anchors, and the two sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.evidence.anchors import read_anchors
from olmix_core.report.markdown import table
from olmix_core.serialization import OMIT_NONE, JsonRecord
from olmix_core.storage.layout import SURROGATE_FILE, TARGET_FILE, fit_path, target_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.fit import load_law
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import DATA, cause, result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class TransferPayload(JsonRecord):
    """What a law at a target depends on.

    Attributes:
        fit: Key of the law.
        scale: Size of its proxies.
        target: Size to carry it to.
        splits: How leaves are written in atoms.
        anchors: Name of the set of rows of the anchors; None for none.
    """

    fit: str = field(metadata=result_of("fit"))
    scale: Scale
    target: Scale
    splits: Mapping[str, Mapping[str, float]] = field(metadata=cause(DATA))
    anchors: str | None = field(default=None, metadata=OMIT_NONE | result_of("evidence"))


@dataclass(frozen=True)
class TransferResult(JsonRecord):
    """A law at a target.

    Attributes:
        transfer: Its key.
        anchors: Number of anchors.
        largest: The largest size that was measured, by FLOPs.
        slopes: {task: BPB at the target per BPB at the size of the proxies}.
        files: Its files in the store.
    """

    transfer: str = ""
    anchors: int = 0
    largest: Scale = field(default_factory=lambda: Scale(0.0, 0.0))
    slopes: Mapping[str, float] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)


def _describe(done: Sequence[Done[TransferPayload, TransferResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    result, payload = outcome.result, outcome.payload
    factor = payload.target.flops / result.largest.flops
    rows = [
        {"task": artifacts.label(task), "slope": f"{slope:.2f}"}
        for task, slope in sorted(result.slopes.items(), key=lambda item: item[1])
    ]
    return [
        f"The law of proxies of {payload.scale}, carried to {payload.target} with {result.anchors or 'no'} anchors. The"
        f" target has {factor:,.3g} times the FLOPs of the largest run measured ({result.largest}).",
        "",
        "A difference of 1 BPB between two mixtures at the size of the proxies is expected to be this much at the"
        " target:",
        "",
        *table(rows),
    ]


@step(
    "transfer",
    1,
    title="carry the law to the target",
    after="fit",
    optional=True,
    payload=TransferPayload,
    result=TransferResult,
    artifact=_describe,
)
def transfer(payload: TransferPayload, store: Store) -> TransferResult:
    """Predict at the size of the target run, from the law of the proxies and from larger runs.

    Args:
        payload: The law, the anchors and the sizes.
        store: The store.

    Returns:
        The law at the target.

    Raises:
        FitError: The surrogate has no law.
    """
    key = transfer.key(payload)
    law = load_law(store.read_json(fit_path(payload.fit, SURROGATE_FILE)))
    if payload.anchors is None:
        anchors = Anchors.none(len(law.leaves), len(law.tasks))
    else:
        anchors = read_anchors(store, payload.anchors, law.leaves, payload.splits, law.tasks)
    carried = TargetSurrogate.carry(law, payload.scale, payload.target, anchors)
    path = target_path(key, TARGET_FILE)
    store.write_json(path, carried.to_json())
    return TransferResult(
        transfer=key,
        anchors=len(anchors.scales),
        largest=carried.largest,
        slopes=dict(zip(carried.tasks, carried.slopes.tolist(), strict=True)),
        files={path: None},
    )
