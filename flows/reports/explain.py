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
from olmix_core.identity import fields
from olmix_core.mixes.record import MixRecord
from olmix_core.serialization import JsonMapping, JsonRecord
from olmix_core.serialization import key as json_name
from olmix_core.storage.store import Store
from tasks.runtime.payload import CAUSES, CODE, DATA, StoredPayload, Subject, read_payload, source_of
from tasks.runtime.registry import STEPS
from tasks.runtime.step import Step
from tasks.steps.evaluate import evaluate
from tasks.steps.publish import PUBLISH

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
class _Result:
    """A result to explain: its label, "" where it has none, and its payload as the store keeps it."""

    label: str
    stored: StoredPayload

    @classmethod
    def of_entry(cls, entry: Entry) -> "_Result":
        """The result that a dry run looked up."""
        return cls(entry.label, StoredPayload(entry.step, entry.code_version, entry.payload.to_json()))

    @property
    def step(self) -> str:
        return self.stored.step

    @property
    def leaf(self) -> str | None:
        """The leaf that it is of; None for results of other things."""
        subject = _subject(self.step)
        return _value(subject, self.stored) if subject is not None and subject.is_leaf else None


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

    @property
    def title(self) -> str:
        """The step, and the label of the leaf where the results are of one leaf."""
        subject = _subject(self.step)
        return f"{self.step} {self.label}" if subject is not None and subject.is_leaf else self.step


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
    missing = [_Result.of_entry(entry) for entry in prospect.run.entries if not entry.cached]
    reasons = _explain_results(missing, last, store, prospect.inputs.domains.labels)
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
    results = []
    for step, keys in record.step_keys.items():
        for key in keys:
            if key not in earlier and (stored := read_payload(store, step, key)) is not None:
                leaf = _Result("", stored).leaf
                results.append(_Result(labels.get(leaf, "") if leaf is not None else "", stored))
    return _explain_results(results, parent, store, labels)


def _explain_results(
    results: Iterable[_Result], last: MixRecord | None, store: Store, labels: Mapping[str, str]
) -> list[Reason]:
    """A reason for each step whose results are not cached, and one for each leaf's statistics."""
    by_step: dict[str, list[_Result]] = {}
    for result in results:
        name = f"{result.step} {result.label}" if result.leaf is not None else result.step
        by_step.setdefault(name, []).append(result)
    names = dict(labels)
    for leaf in last.domain_set if last else ():
        names.setdefault(leaf.fingerprint, f"{leaf.label} (before)")
    reasons: list[Reason] = []
    for group in by_step.values():
        counterpart = _counterpart(group[0], last, store)
        reasons.append(_reason(group, counterpart, reasons, names, is_first_version=last is None))
    return reasons


def _counterpart(result: _Result, last: MixRecord | None, store: Store) -> StoredPayload | None:
    """The payload of the last version that the result replaces."""
    if last is None or result.step not in last.step_keys:
        return None
    stored = (read_payload(store, result.step, key) for key in last.step_keys[result.step])
    payloads = [payload for payload in stored if payload is not None]
    subject = _subject(result.step)
    if subject is not None:
        before = {leaf.label: leaf.fingerprint for leaf in last.domain_set}.get(result.label)
        subjects = (_value(subject, result.stored), before if subject.is_leaf else None)
        same = [payload for payload in payloads if _value(subject, payload) in subjects]
        payloads = same if subject.is_leaf else same or payloads
    return payloads[0] if payloads else None


def _reason(
    group: Sequence[_Result],
    old: StoredPayload | None,
    before: Sequence[Reason],
    names: Mapping[str, str],
    *,
    is_first_version: bool,
) -> Reason:
    result, count = group[0], len(group)
    differences: tuple[Difference, ...]
    if old is None:
        if is_first_version or result.leaf is None:
            return Reason(result.step, result.label, count, FIRST, _root(result, (), names))
        differences = (Difference("content", None, result.leaf, DATA),)
    elif old.code_version != result.stored.code_version:
        differences = (Difference("code_version", old.code_version, result.stored.code_version, CODE),)
    else:
        differences = tuple(_differences(result.step, old.payload, result.stored.payload))
    own = [difference for difference in differences if difference.source in CAUSES]
    if own:
        root = _root(result, own, names)
        reported = differences if old is not None else tuple(own)
        return Reason(result.step, result.label, count, own[0].source, root, (), reported)
    # Only results of earlier steps differ: follow the nearest that has a reason.
    sources = {difference.source for difference in differences}
    for upstream in reversed(before):
        if upstream.step in sources:
            chain = (upstream.step, *upstream.chain)
            return Reason(result.step, result.label, count, UPSTREAM, upstream.root, chain, differences)
    chain = tuple(sorted(sources))
    return Reason(result.step, result.label, count, UPSTREAM, "an earlier version", chain, differences)


def _root(result: _Result, differences: Sequence[Difference], names: Mapping[str, str]) -> str:
    """The root in words."""
    where = f"{result.step} {result.label}".strip()
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
    """Return a field path with labels instead of fingerprints.

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


def _subject(step: str) -> Subject | None:
    declared = STEPS[step]
    return declared.subject if isinstance(declared, Step) else None


def _value(subject: Subject, stored: StoredPayload) -> str:
    """The name of the subject of a result."""
    return str(stored.payload[subject.field])


def _differences(step: str, old: JsonMapping, new: JsonMapping) -> list[Difference]:
    before, after = fields(old), fields(new)
    declared = STEPS[step]
    sources = declared.sources if isinstance(declared, Step) else {}
    return [
        Difference(path, before.get(path), after.get(path), source_of(sources, path))
        for path in dict.fromkeys([*after, *before])
        if before.get(path) != after.get(path)
    ]
