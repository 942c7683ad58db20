"""Publish a mix: from what a run found to a version on record (see `record`).

mix.json is written first: it claims the version, so that two publishers never write into one folder. A version is a
mixture and what it rests on. Publishing the same again changes nothing and keeps its version.
"""

import time
from collections.abc import Mapping

import pandas as pd

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.labels import label_diagnostics, label_plan, label_runs, label_surrogate, label_target
from olmix_core.mixes.record import MixRecord, as_mix, parse_record
from olmix_core.mixes.record_builder import Publication, build_record
from olmix_core.mixes.record_parts import StepCounts
from olmix_core.mixes.runs import to_parquet
from olmix_core.mixes.tables import mix_table
from olmix_core.mixes.versions import latest_version, number_of, read_latest
from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.integrity import checksum, seal, unseal
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    PLAN_FILE,
    RECORD_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TARGET_FILE,
    TRADE_OFFS_FILE,
    latest_path,
    version_path,
)
from olmix_core.storage.store import Store

PUBLISHING = 30.0  # seconds after which a publisher that has not ended is taken to be dead


def publish_mix(store: Store, draft: MixDraft, accounting: Mapping[str, Mapping[str, int]]) -> MixRecord:
    """Write a new version of a mix, unless the latest says the same.

    Of several publishers at once each ends with a version of its own, or with that of another that says the same, and
    latest.json with the newest.

    Args:
        store: Where the version is written.
        draft: The mix.
        accounting: {step: {executed, cached, reused}} of the run that publishes.

    Returns:
        The record of the version that holds the mix.

    Raises:
        StoreError: The store cannot be read or written.
    """
    counts = {step: StepCounts.model_validate(of_step) for step, of_step in accounting.items()}
    while True:
        previous = read_latest(store, draft.name)
        if previous is not None and previous.identity == draft.identity:
            return previous
        claim = _claim(store, draft, previous, counts)
        if claim is not None:
            break
    record, contents = claim
    for file, content in contents.items():
        store.write_bytes(version_path(draft.name, record.version, file), content)
    latest, number = latest_path(draft.name), number_of(record.version)
    advance(
        store,
        latest,
        seal({"version": record.version}),
        lambda current: number_of(unseal(current, store.place(latest))["version"]) < number,
    )
    return record


def _claim(
    store: Store, draft: MixDraft, previous: MixRecord | None, counts: Mapping[str, StepCounts]
) -> tuple[MixRecord, dict[str, bytes]] | None:
    """The record of a version after `previous` that is ours to fill, and the files beside it.

    None where another publisher has ended meanwhile. mix.json is what claims a version: it is written first, by one
    publisher only.
    """
    parent = None if previous is None else previous.version
    table, number = mix_table(draft, previous), number_of(parent)
    deadline = time.monotonic() + PUBLISHING
    while True:
        number += 1
        version = f"v{number:04d}"
        path = version_path(draft.name, version, RECORD_FILE)
        contents = _contents(store, draft, version, parent, table)
        files = {file: checksum(content) for file, content in contents.items()}
        record = build_record(draft, Publication(version, previous, counts, files), table)
        if create_exclusive(store, path, seal(record.to_json())):
            return record, contents
        claimed = as_mix(parse_record(store.read_json(path), store.place(path)), store.place(path))
        if (claimed.identity, claimed.parent, claimed.files) == (record.identity, record.parent, record.files):
            return claimed, contents  # the same, by a publisher at this moment or one that was killed
        while time.monotonic() < deadline:
            if latest_version(store, draft.name) != parent:
                return None
            time.sleep(PUBLISHING / 60)
        # The publisher that claimed it was killed, and the number stays unused.


def _contents(store: Store, draft: MixDraft, version: str, parent: str | None, table: pd.DataFrame) -> dict[str, bytes]:
    """The files of a version beside mix.json."""
    target = {} if draft.target is None else {TARGET_FILE: seal(label_target(draft, draft.target))}
    return {
        **target,
        TABLE_FILE: table.to_csv(index=False, lineterminator="\n").encode(),
        SURROGATE_FILE: seal(label_surrogate(draft)),
        DIAGNOSTICS_FILE: label_diagnostics(draft),
        TRADE_OFFS_FILE: draft.proposal.trade_offs,
        PLAN_FILE: seal(label_plan(draft).to_json()),
        RUNS_FILE: to_parquet(label_runs(store, draft, version, parent)),
    }
