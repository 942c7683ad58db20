"""Why did, or would, a step run again: the field of its payload that differs, and the root of the chain.

Causes: CODE (a code_version was raised), DATA (content of a leaf), PARAMS (a setting), EVAL (tasks; never training),
UPSTREAM (the result of an earlier step, whose own cause is followed to the root), FIRST (nothing to compare with).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.execution.dry_run import Entry
from flows.pipeline.forecast import Forecast
from olmix_core.errors import DamageError
from olmix_core.identity import fields
from olmix_core.mixes.record import MixRecord
from olmix_core.serialization import JsonMapping, JsonRecord
from olmix_core.serialization import key as json_name
from olmix_core.storage.layout import payload_path
from olmix_core.storage.store import Store
from tasks.runtime.payload import CAUSES, CODE, DATA, source_of
from tasks.runtime.registry import STEPS
from tasks.runtime.step import Step
from tasks.steps.evaluate import EvaluatePayload, evaluate
from tasks.steps.publish import PUBLISH
from tasks.steps.statistics import StatisticsPayload, statistics

FIRST = "FIRST"  # nothing to compare with
UPSTREAM = "UPSTREAM"  # the result of an earlier step


@dataclass(frozen=True)
class Difference(JsonRecord):
    """A field of a payload that differs.

    Attributes:
        field: Its dotted path.
        old: Its value before, as plain JSON.
        new: Its value now.
        source: A cause, or the step that the value comes from.
    """

    field: str
    old: Any
    new: Any
    source: str = dataclasses.field(metadata=json_name("cause"))


@dataclass(frozen=True)
class StoredPayload(JsonRecord):
    """A payload as the store keeps it: with the step and the code_version that it is of."""

    step: str
    code_version: int
    payload: JsonMapping


@dataclass(frozen=True)
class Reason(JsonRecord):
    """Why results of a step are executed.

    Attributes:
        step: Name of the step.
        label: Label of the results; "" for all of the step.
        count: Number of results.
        cause: One of CAUSES, UPSTREAM or FIRST.
        root: The root of the chain, in words.
        chain: The steps that lead to it, the nearest first.
        differences: The fields that differ.
    """

    step: str
    label: str
    count: int = dataclasses.field(metadata=json_name("results"))
    cause: str
    root: str = ""
    chain: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


def explain(prospect: Forecast, last: MixRecord | None, store: Store) -> list[Reason]:
    """Explain why a run would execute something, compared with the last published version.

    Args:
        prospect: What the run would do.
        last: The last published version; None where there is none.
        store: The store.

    Returns:
        A reason for each step that would execute something.

    Raises:
        StoreError: The store does not answer.
    """
    missing = [entry for entry in prospect.run.entries if not entry.cached]
    reasons = explain_entries(missing, last, store, prospect.inputs.domains.labels)
    if not prospect.reached:
        reached = {entry.step for entry in prospect.run.entries}
        by_step = {reason.step: reason for reason in reasons}
        for stage in STEPS.following(evaluate.name):
            upstream = by_step.get(stage.after or "")
            if stage.name not in reached and stage.name != PUBLISH.name and upstream is not None:
                chain = (upstream.step, *upstream.chain)
                by_step[stage.name] = Reason(stage.name, "", 1, UPSTREAM, upstream.root, chain)
                reasons.append(by_step[stage.name])
    return reasons


def explain_version(record: MixRecord, parent: MixRecord | None, store: Store) -> list[Reason]:
    """Explain why the steps of a published version were executed, compared with its parent.

    Args:
        record: The version.
        parent: Its parent; None where it has none.
        store: The store.

    Returns:
        A reason for each step that executed something.

    Raises:
        StoreError: The store does not answer.
    """
    earlier = {key for keys in (parent.step_keys if parent else {}).values() for key in keys}
    labels = record.labels
    entries = []
    for step, keys in record.step_keys.items():
        for key in keys:
            if key not in earlier and (stored := _stored_payload(store, step, key)) is not None:
                payload = dict(stored.payload)
                label = labels.get(StatisticsPayload.from_json(payload).content, "") if step == statistics.name else ""
                entries.append(Entry(step, payload, key, label, False, stored.code_version))
    return explain_entries(entries, parent, store, labels)


def explain_entries(
    entries: Iterable[Entry], last: MixRecord | None, store: Store, labels: Mapping[str, str]
) -> list[Reason]:
    """Explain results that are not cached.

    Args:
        entries: The results.
        last: The published version that they are compared with.
        store: The store.
        labels: {leaf: its label}.

    Returns:
        A reason for each step, and one for each leaf's statistics.

    Raises:
        StoreError: The store does not answer.
    """
    by_step: dict[str, list[Entry]] = {}
    for entry in entries:
        name = f"{entry.step} {entry.label}" if entry.step == statistics.name else entry.step
        by_step.setdefault(name, []).append(entry)
    names = dict(labels)
    for leaf in last.domain_set if last else ():
        names.setdefault(leaf.fingerprint, f"{leaf.label} (before)")
    reasons: list[Reason] = []
    for group in by_step.values():
        counterpart = _counterpart(group[0], last, store)
        reasons.append(_reason(group, counterpart, reasons, names, is_first_version=last is None))
    return reasons


def _stored_payload(store: Store, step: str, key: str) -> StoredPayload | None:
    path = payload_path(step, key)
    try:
        return StoredPayload.from_json(store.read_json(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamageError(store.place(path), str(error)) from error


def _counterpart(entry: Entry, last: MixRecord | None, store: Store) -> StoredPayload | None:
    """The payload of the last version that the entry stands in the place of."""
    if last is None or entry.step not in last.step_keys:
        return None
    stored = (_stored_payload(store, entry.step, key) for key in last.step_keys[entry.step])
    payloads = [payload for payload in stored if payload is not None]
    if entry.step == statistics.name:
        before = {leaf.label: leaf.fingerprint for leaf in last.domain_set}.get(entry.label)
        content = StatisticsPayload.from_json(entry.payload).content
        payloads = [
            payload for payload in payloads if StatisticsPayload.from_json(payload.payload).content in (content, before)
        ]
    if entry.step == evaluate.name:
        task = EvaluatePayload.from_json(entry.payload).task
        same = [payload for payload in payloads if EvaluatePayload.from_json(payload.payload).task == task]
        payloads = same or payloads
    return payloads[0] if payloads else None


def _reason(
    group: Sequence[Entry],
    old: StoredPayload | None,
    before: Sequence[Reason],
    names: Mapping[str, str],
    *,
    is_first_version: bool,
) -> Reason:
    entry, count = group[0], len(group)
    differences: tuple[Difference, ...]
    if old is None:
        if is_first_version or entry.step != statistics.name:
            return Reason(entry.step, entry.label, count, FIRST, _root(entry, (), names))
        differences = (Difference("content", None, StatisticsPayload.from_json(entry.payload).content, DATA),)
    elif old.code_version != entry.code_version:
        differences = (Difference("code_version", old.code_version, entry.code_version, CODE),)
    else:
        differences = tuple(_differences(entry.step, old.payload, entry.payload))
    own = [difference for difference in differences if difference.source in CAUSES]
    if own:
        root = _root(entry, own, names)
        reported = differences if old is not None else tuple(own)
        return Reason(entry.step, entry.label, count, own[0].source, root, (), reported)
    # Only results of earlier steps differ: follow the first that has a reason.
    sources = {difference.source for difference in differences}
    for upstream in before:
        if upstream.step in sources:
            chain = (upstream.step, *upstream.chain)
            return Reason(entry.step, entry.label, count, UPSTREAM, upstream.root, chain, differences)
    chain = tuple(sorted(sources))
    return Reason(entry.step, entry.label, count, UPSTREAM, "an earlier version", chain, differences)


def _root(entry: Entry, differences: Sequence[Difference], names: Mapping[str, str]) -> str:
    """The root in words."""
    where = f"{entry.step} {entry.label}".strip()
    if not differences:
        return f"{where}: never run before"
    first = differences[0]
    if isinstance(first.old, list) and isinstance(first.new, list):
        removed = [f"-{_item(item, names)}" for item in first.old if item not in first.new]
        added = [f"+{_item(item, names)}" for item in first.new if item not in first.old]
        return f"{where}: {first.source} {named(first.field, names)}: {' '.join([*removed, *added])}"
    return f"{where}: {first.source} {named(first.field, names)}: {shown(first.old)} -> {shown(first.new)}"


def _item(value: Any, names: Mapping[str, str]) -> str:
    """An item of a list by the labels of the leaves in it."""
    leaves = list(value) if isinstance(value, dict) else [value]
    return "+".join(names.get(str(leaf), shown(leaf)) for leaf in leaves)


def named(field: str, names: Mapping[str, str]) -> str:
    """Return a field path with labels in the place of fingerprints.

    Args:
        field: Dotted path.
        names: {fingerprint: label}.

    Returns:
        The path.
    """
    return ".".join(names.get(part, part) for part in field.split("."))


def shown(value: Any) -> str:
    """Return a value as it is shown in a line.

    Args:
        value: Plain JSON.

    Returns:
        The value; fingerprints and long values are cut.
    """
    if value is None:
        return "nothing"
    text = str(value)
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return text if len(text) <= 48 else f"{text[:45]}..."


def _differences(step: str, old: JsonMapping, new: JsonMapping) -> list[Difference]:
    before, after = fields(old), fields(new)
    declared = STEPS[step]
    sources = declared.sources if isinstance(declared, Step) else {}
    return [
        Difference(path, before.get(path), after.get(path), source_of(sources, path))
        for path in dict.fromkeys([*after, *before])
        if before.get(path) != after.get(path)
    ]
