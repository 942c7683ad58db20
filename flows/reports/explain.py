"""Why did, or would, a step run again: the field of its payload that differs, and the root of the chain.

Causes: CODE (a code_version was raised), DATA (content of a leaf), PARAMS (a setting), EVAL (tasks; never training),
UPSTREAM (the result of an earlier step, whose own cause is followed to the root), FIRST (nothing to compare with).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.pipeline.forecast import AFTER_EVALUATION, Entry, Forecast
from olmix_core.identity import fields
from olmix_core.mixes.record import MixRecord
from olmix_core.storage.layout import payload_path
from olmix_core.storage.store import Store

# Of each step, what a field of the payload stands for: a cause, or the step that its value comes from.
FIELDS: dict[str, dict[str, str]] = {
    "tokenizer": {"leaves": "DATA"},
    "statistics": {"content": "DATA", "tokenizer": "tokenizer"},
    "plan": {"units": "DATA", "base": "DATA", "base.release": "PARAMS"},
    "swarm": {"columns": "plan", "natural": "statistics", "runs": "plan"},
    "train": {"mixture": "swarm", "tokenizer": "tokenizer"},
    "evaluate": {"proxy": "train", "task": "EVAL"},
    "evidence": {"rows": "evaluate", "pool": "DATA"},
    "fit": {"evidence": "evidence", "atoms": "plan", "splits": "DATA", "tasks": "EVAL", "pool": "DATA"},
    "choose": {"fit": "fit", "swarm": "swarm", "count": "plan", "tolerance": "PARAMS", "wish": "PARAMS"},
    "propose": {
        "fit": "fit",
        "columns": "plan",
        "reusable": "plan",
        "splits": "DATA",
        "natural": "statistics",
        "tokens": "statistics",
        "task_weights": "EVAL",
    },
}
CAUSES = ("CODE", "DATA", "PARAMS", "EVAL")


@dataclass(frozen=True)
class Difference:
    """A field of a payload that differs; `source` is a cause or a step."""

    field: str
    old: Any
    new: Any
    source: str


@dataclass(frozen=True)
class Reason:
    """Why the results of a step (or the ones labelled `label`) are executed; `chain` leads to the root."""

    step: str
    label: str
    count: int
    cause: str
    differences: tuple[Difference, ...]
    chain: tuple[str, ...] = ()
    root: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "label": self.label,
            "results": self.count,
            "cause": self.cause,
            "root": self.root,
            "chain": list(self.chain),
            "differences": [
                {"field": one.field, "old": one.old, "new": one.new, "cause": one.source} for one in self.differences
            ],
        }


def explain(found: Forecast, last: MixRecord | None, store: Store) -> list[Reason]:
    """Why each step of a dry run would execute something, compared with the last published version."""
    missing = [entry for entry in found.run.entries if not entry.cached]
    reasons = explain_entries(missing, last, store, found.inputs.domains.labels)
    if not found.reached:
        reached = {entry.step for entry in found.run.entries}
        roots = {reason.step: reason for reason in reasons}
        upstream = "evaluate"
        for step in AFTER_EVALUATION:
            if step not in reached and upstream in roots:
                roots[step] = _downstream(step, roots[upstream])
                reasons.append(roots[step])
            upstream = step
    return reasons


def explain_version(record: MixRecord, parent: MixRecord | None, store: Store) -> list[Reason]:
    """Why each step of a published version was executed, compared with its parent."""
    known = {key for keys in (parent.step_keys if parent else {}).values() for key in keys}
    labels = record.labels
    entries = []
    for step, keys in record.step_keys.items():
        for key in keys:
            if key not in known and (payload := _payload(store, step, key)) is not None:
                content = payload["payload"].get("content") if step == "statistics" else None
                label = labels.get(str(content), "")
                entries.append(Entry(step, payload["payload"], key, label, False, payload["code_version"]))
    return explain_entries(entries, parent, store, labels)


def explain_entries(
    entries: Sequence[Entry], last: MixRecord | None, store: Store, labels: Mapping[str, str]
) -> list[Reason]:
    """One reason for each step, and one for each leaf's statistics."""
    by_step: dict[str, list[Entry]] = {}
    for entry in entries:
        name = f"{entry.step} {entry.label}" if entry.step == "statistics" else entry.step
        by_step.setdefault(name, []).append(entry)
    names = dict(labels)
    for leaf in last.domain_set if last else ():
        names.setdefault(leaf.fingerprint, f"{leaf.label} (before)")
    reasons: list[Reason] = []
    for group in by_step.values():
        entry = group[0]
        old = _counterpart(entry, last, store)
        reasons.append(_reason(entry, len(group), old, reasons, names, last))
    return reasons


def _payload(store: Store, step: str, key: str) -> dict[str, Any] | None:
    try:
        return dict(store.read_json(payload_path(step, key)))
    except FileNotFoundError:
        return None


def _counterpart(entry: Entry, last: MixRecord | None, store: Store) -> dict[str, Any] | None:
    """The payload of the last version that the entry stands in the place of."""
    if last is None or entry.step not in last.step_keys:
        return None
    payloads = [one for key in last.step_keys[entry.step] if (one := _payload(store, entry.step, key)) is not None]
    if entry.step == "statistics":
        before = {leaf.label: leaf.fingerprint for leaf in last.domain_set}.get(entry.label)
        same = [one for one in payloads if one["payload"]["content"] in (entry.payload["content"], before)]
        return same[0] if same else None
    if entry.step == "evaluate":
        same = [one for one in payloads if one["payload"]["task"] == entry.payload["task"]]
        payloads = same or payloads
    return payloads[0] if payloads else None


def _reason(
    entry: Entry,
    count: int,
    old: Mapping[str, Any] | None,
    before: Sequence[Reason],
    names: Mapping[str, str],
    last: MixRecord | None,
) -> Reason:
    if old is None:
        cause = "DATA" if last is not None and entry.step == "statistics" else "FIRST"
        difference = Difference("content", None, entry.payload.get("content", entry.key), cause)
        found = (difference,) if cause == "DATA" else ()
        return Reason(entry.step, entry.label, count, cause, found, (), _told(entry, found, names))
    if old["code_version"] != entry.code_version:
        differences: tuple[Difference, ...] = (
            Difference("code_version", old["code_version"], entry.code_version, "CODE"),
        )
    else:
        differences = tuple(_differences(entry.step, old["payload"], entry.payload))
    own = [one for one in differences if one.source in CAUSES]
    if own:
        return Reason(entry.step, entry.label, count, own[0].source, differences, (), _told(entry, own, names))
    # Only results of earlier steps differ: follow the first that has a reason.
    sources = {one.source for one in differences}
    for upstream in before:
        if upstream.step in sources:
            chain = (upstream.step, *upstream.chain)
            return Reason(entry.step, entry.label, count, "UPSTREAM", differences, chain, upstream.root)
    return Reason(entry.step, entry.label, count, "UPSTREAM", differences, tuple(sorted(sources)), "an earlier version")


def _downstream(step: str, upstream: Reason) -> Reason:
    return Reason(step, "", 1, "UPSTREAM", (), (upstream.step, *upstream.chain), upstream.root)


def _told(entry: Entry, differences: Sequence[Difference], names: Mapping[str, str]) -> str:
    """The root in words."""
    where = f"{entry.step} {entry.label}".strip()
    if not differences:
        return f"{where}: never run before"
    first = differences[0]
    if isinstance(first.old, list) and isinstance(first.new, list):
        gone = [f"-{_item(one, names)}" for one in first.old if one not in first.new]
        come = [f"+{_item(one, names)}" for one in first.new if one not in first.old]
        return f"{where}: {first.source} {named(first.field, names)}: {' '.join([*gone, *come])}"
    return f"{where}: {first.source} {named(first.field, names)}: {shown(first.old)} -> {shown(first.new)}"


def _item(value: Any, names: Mapping[str, str]) -> str:
    """An item of a list by the labels of the leaves in it."""
    leaves = list(value) if isinstance(value, dict) else [value]
    return "+".join(names.get(str(leaf), shown(leaf)) for leaf in leaves)


def named(field: str, names: Mapping[str, str]) -> str:
    """A field path with labels in the place of fingerprints."""
    return ".".join(names.get(part, part) for part in field.split("."))


def shown(value: Any) -> str:
    """A value in a line: fingerprints and long values cut."""
    if value is None:
        return "nothing"
    text = str(value)
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return text if len(text) <= 48 else f"{text[:45]}..."


def _differences(step: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    before, after = fields(old), fields(new)
    return [
        Difference(field, before.get(field), after.get(field), _source(step, field))
        for field in dict.fromkeys([*after, *before])
        if before.get(field) != after.get(field)
    ]


def _source(step: str, field: str) -> str:
    parts = field.split(".")
    known = FIELDS[step]
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in known:
            return known[".".join(parts[:length])]
    return "PARAMS"
