"""A small record of a published version, of which a test sets what it is about."""

from typing import Any

from olmix_core.data.domains import DomainSet


def record_json(**changes: Any) -> dict[str, Any]:
    """The content of a mix.json of format version 2 with two leaves and one task; `changes` replace fields."""
    value: dict[str, Any] = {
        "format_version": 2,
        "kind": "mix",
        "name": "test",
        "version": "v0001",
        "parent": None,
        "created": "2026-01-01T00:00:00+00:00",
        "identity": "1" * 64,
        "weights": {"a": 0.75, "b": 0.25},
        "weights_by_content": {"fa": 0.75, "fb": 0.25},
        "predicted": {name: {"bpb": 1.0, "low": 0.9, "high": 1.1} for name in ("natural", "proposed")},
        "gain": {"over_natural": {"bpb": 0.0, "low": -0.1, "high": 0.1}},
        "tasks": [{"name": "task", "family": None, "fingerprint": "ft", "weight": 1.0, "standard_error": None}],
        "domain_set": [leaf_json("a", "fa"), leaf_json("b", "fb")],
        "target_tokens": 1000.0,
        "run_tokens": 992,
        "settings": {
            "proxy": {"tokens": 1024},
            "swarm": {"runs": 4},
            "surrogate": {"family": "auto"},
            "proposal": {"kl": 0.05, "target_tokens": 1000.0, "repetition": 4.0, "sequence_length": 32},
            "reuse": {"strategy": "auto"},
        },
        "tokenizer": {"settings": {"kind": "bytes"}, "fingerprint": "2" * 64},
        "evidence": "3" * 64,
        "pool": {"asked": "", "evidence": None, "left_out": {}},
        "proxies": {
            "swarm": 4,
            "carried_over": 0,
            "pooled": 0,
            "left_out": {},
            "diverged": 0,
            "tokens": 4096,
            "seconds": 1.0,
            "parameters": 5144,
            "full_recompute": 9,
        },
        "speed": {},
        "wish": {"bounds": [], "reference": None},
        "solver": {"status": "optimal", "gap": 0.0, "residual": 0.0},
        "flags": {},
        "notes": [],
        "swarms": [],
        "base": None,
        "change": {},
        "removed": [],
        "origins": {},
        "plan": {
            "columns": [{"a": 1.0}, {"b": 1.0}],
            "kept": [],
            "released": [],
            "runs": 4,
            "reusable": None,
            "coupling": None,
        },
        "splits": {},
        "contents": {},
        "loosened": [],
        "keys": {},
        "run": {},
        "versions": {},
        "files": {},
    }
    for task in value["tasks"]:
        task |= {"natural": 1.0, "proposed": 1.0}
    return {**value, **changes}


def leaf_json(label: str, fingerprint: str, contents: object = ()) -> dict[str, Any]:
    """A leaf in `domain_set`."""
    counts = {"documents": 1, "bytes": 100, "tokens": 50, "heldout_tokens": 10, "heldout_bytes": 20}
    return {"label": label, "fingerprint": fingerprint, **counts, "bytes_per_token": 2.0, "contents": contents}


def leaves_json(domains: DomainSet) -> list[dict[str, Any]]:
    """The `domain_set` of a record of these leaves."""
    return [leaf_json(leaf.label, leaf.fingerprint, [list(file) for file in leaf.contents]) for leaf in domains.leaves]
