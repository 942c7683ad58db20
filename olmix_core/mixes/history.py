"""Looking back: the versions of a mix one after another, and two of them side by side."""

from collections.abc import Mapping
from typing import Any

from olmix_core.errors import StoreError
from olmix_core.identity import fields
from olmix_core.mixes.record import latest_version, read_mix
from olmix_core.storage.layout import MIXES_FOLDER
from olmix_core.storage.store import Store


def history(store: Store, name: str, version: str | None = None) -> list[dict[str, Any]]:
    """The lineage of a mix up to `version` (the latest), oldest first: what changed, what was spent and gained.

    Raises StoreError.
    """
    version = version or latest_version(store, name)
    if version is None:
        read_mix(store, name)  # raises, naming the mixes that are there
    rows: list[dict[str, Any]] = []
    while version is not None:
        record = read_mix(store, name, version)
        kinds = [kind for kind in record["change"].values() if kind not in ("unchanged",)]
        changed = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        removed = record["removed"]
        if removed:
            changed["removed"] = len(removed)
        predicted = record["predicted"]
        rows.append(
            {
                "version": version,
                "created": record["created"],
                "builds_on": record["base"],
                "change": changed,
                "domains": len(record["domain_set"]),
                "strategy": record["settings"]["reuse"]["strategy"],
                "proxies": record["run"].get("train", {"executed": 0})["executed"],
                "cached": record["run"].get("train", {"cached": 0})["cached"],
                "carried_over": record["proxies"]["carried_over"],
                "full_recompute": record["proxies"]["full_recompute"],
                "natural": predicted["natural"]["bpb"],
                "proposed": predicted["proposed"]["bpb"],
                "gain": record["gain"]["over_natural"]["bpb"],
            }
        )
        version = record["parent"]
    rows.reverse()
    return rows


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Two mix records side by side: leaves, weights, settings, evidence.

    {a, b, leaves: [{domain, change, a, b}], settings: [{field, a, b}], evidence: {a, b}}; leaves are matched by
    content, so that a renamed one is one leaf.
    """
    labels = [{leaf["fingerprint"]: leaf["label"] for leaf in one["domain_set"]} for one in (old, new)]
    rows = []
    for content in {**labels[1], **labels[0]}:
        before, after = labels[0].get(content), labels[1].get(content)
        if before is None:
            change = "only in b"
        elif after is None:
            change = "only in a"
        else:
            change = f"was {before}" if before != after else ""
        weights = [one["weights_by_content"].get(content) for one in (old, new)]
        rows.append({"domain": after or before, "change": change, "a": weights[0], "b": weights[1]})
    settings = [
        {"field": field, "a": flat_old.get(field), "b": flat_new.get(field)}
        for flat_old, flat_new in [(fields(old["settings"]), fields(new["settings"]))]
        for field in sorted({*flat_old, *flat_new})
        if flat_old.get(field) != flat_new.get(field)
    ]
    tasks = [{task["fingerprint"]: task["name"] for task in one["tasks"]} for one in (old, new)]
    return {
        "a": f"{old['name']}@{old['version']}",
        "b": f"{new['name']}@{new['version']}",
        "leaves": sorted(rows, key=lambda row: -max(row["a"] or 0.0, row["b"] or 0.0)),
        "settings": settings,
        "tasks": {
            "only in a": sorted(name for key, name in tasks[0].items() if key not in tasks[1]),
            "only in b": sorted(name for key, name in tasks[1].items() if key not in tasks[0]),
        },
        "evidence": {
            side: {
                "id": one["evidence"][:12],
                "swarm": one["proxies"]["swarm"],
                "carried_over": one["proxies"]["carried_over"],
            }
            for side, one in (("a", old), ("b", new))
        },
        "predicted": {side: one["predicted"]["proposed"] for side, one in (("a", old), ("b", new))},
    }


def find_record(store: Store, reference: str) -> dict[str, Any]:
    """mix.json of NAME, NAME@VERSION, or VERSION where the store holds one mix. Raises StoreError."""
    name, _, version = reference.partition("@")
    if not version and name not in store.list(MIXES_FOLDER):
        names = store.list(MIXES_FOLDER)
        if len(names) == 1:
            return read_mix(store, names[0], name)
        found = ", ".join(names) or "none"
        raise StoreError(f"{store.url}: found no mix {name!r}; expected NAME or NAME@VERSION of one of: {found}")
    return read_mix(store, name, version or None)
