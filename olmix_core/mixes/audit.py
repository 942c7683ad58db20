"""Audit of a store: every file against its seal, and every reference against the files that exist.

    damaged      not what was written: it is never used
    missing      something refers to it, and it does not exist
    unfinished   left by a run that was killed: the next run continues from it, or writes it again
    orphan       nothing refers to it (`gc` removes it)
    unknown      not a file of a store

`repair` takes away whatever can be made again: the next run finds it missing. The ledger of evidence and published
mixes are the record, and are never touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from olmix_core.errors import DamageError, StoreError
from olmix_core.evidence import ledger
from olmix_core.mixes.record import MixRecord, as_mix, parse_record
from olmix_core.mixes.versions import latest_version, number_of
from olmix_core.storage import layout
from olmix_core.storage.integrity import CheckedTokens, load_tensors
from olmix_core.storage.layout import PASSAGES_FILE, RECORD_FILE, TOKENS_FILE
from olmix_core.storage.local_cache import forget
from olmix_core.storage.results import parse_result
from olmix_core.storage.store import Store

Kind = Literal["damaged", "missing", "unfinished", "orphan", "unknown"]
Remedy = Literal["set aside", "remove", "rebuild", "run again", "collect", "none"]

REPAIRED: tuple[Remedy, ...] = ("set aside", "remove", "rebuild")  # remedies that `repair` applies
HARMLESS: tuple[Kind, ...] = ("unfinished", "orphan", "unknown")

_SMALL = (layout.step_result_path, layout.job_path, layout.payload_path, layout.watched_path)  # quick to make again
_SEALED_JSON = (layout.job_path, layout.payload_path, layout.tokenizer_path, layout.watched_path)
_PROXY_TENSORS = (layout.proxy_model_path, layout.proxy_checkpoint_path)
_OUTPUTS = (
    layout.corpus_path,
    layout.exclusion_path,
    layout.fit_path,
    layout.target_path,
    layout.proposal_path,
)  # named by results
_MADE_BY_RUNS = (layout.CACHE_FOLDER, layout.PROXIES_FOLDER, layout.TOKENIZERS_FOLDER)


@dataclass(frozen=True)
class Finding:
    """A file that is not as it should be.

    Attributes:
        path: The file, relative to the root of the store.
        kind: How it differs from what it should be.
        what: The reason, for people.
        remedy: How it is mended.
    """

    path: str
    kind: Kind
    what: str
    remedy: Remedy

    @property
    def is_harm(self) -> bool:
        """Whether something is lost or cannot be used."""
        return self.kind not in HARMLESS


def check(store: Store, progress: Callable[[int, int], None] = lambda _done, _of: None) -> list[Finding]:
    """Read the whole store and report everything that is wrong with it.

    Args:
        store: The store.
        progress: Called with the number of files read and of all files.

    Returns:
        The findings, sorted by path.

    Raises:
        StoreError: The store cannot be listed.
    """
    files = sorted(path for path in store.files() if layout.damaged_path.match(path) is None)
    audit = _Audit(store, frozenset(files))
    findings: list[Finding] = []
    for number, path in enumerate(files):
        progress(number, len(files))
        forget(store.place(path))  # read the store, not a local copy
        try:
            findings += audit.file(path)
        except DamageError as error:
            damaged = error.where.removeprefix(f"{store.url}/")
            findings.append(Finding(damaged, "damaged", error.found, _remedy(damaged)))
        except StoreError as error:
            findings.append(Finding(path, "damaged", str(error), "none"))
        except FileNotFoundError:  # removed by a run in progress
            continue
    findings += audit.orphans()
    findings += audit.evidence()
    progress(len(files), len(files))
    return sorted(set(findings), key=lambda finding: (finding.path, finding.what))


def repair(store: Store, findings: list[Finding]) -> list[Finding]:
    """Mend what can be mended.

    Args:
        store: The store.
        findings: What `check` found.

    Returns:
        The findings that remain.

    Raises:
        StoreError: A file cannot be moved, removed or written.
    """
    for finding in findings:
        if finding.remedy == "set aside":
            store.set_aside(DamageError(store.place(finding.path), finding.what))
        elif finding.remedy == "remove":
            store.remove(finding.path)
        elif finding.remedy == "rebuild" and (parts := layout.latest_path.match(finding.path)):
            store.write_json(finding.path, {"version": _newest_whole_version(store, parts["mix"])})
    return [finding for finding in findings if finding.remedy not in REPAIRED]


@dataclass
class _Audit:
    """The state of one check.

    Attributes:
        store: The store.
        files: All its files.
        records: {path: record} of the published versions read so far.
        referred: Files that the results read so far refer to.
    """

    store: Store
    files: frozenset[str]
    records: dict[str, MixRecord] = field(default_factory=dict)
    referred: set[str] = field(default_factory=set)

    def file(self, path: str) -> Iterator[Finding]:
        """Check one file; fills `records` and `referred`."""
        kind = layout.kind_of(path)
        parts = {} if kind is None else kind.match(path) or {}
        if kind is None:
            yield Finding(path, "unknown", "a file that no run wrote", "none")
        elif kind is layout.temporary_path:
            yield Finding(path, "unfinished", "a file that was being written", "collect")
        elif kind is layout.step_result_path:
            yield from self._result(path)
        elif kind is layout.proxy_run_path:
            yield from self._proxy_run(path, parts["key"])
        elif kind in _PROXY_TENSORS:
            yield from self._proxy_tensors(path, parts["key"])
        elif kind is layout.corpus_path:
            yield from self._corpus(path, parts["key"])
        elif kind is layout.exclusion_path:
            load_tensors(self.store.local_copy(path), self.store.place(path))
        elif kind is layout.version_path:
            yield from self._version_file(path, parts)
        elif kind is layout.latest_path:
            version = latest_version(self.store, parts["mix"])
            if layout.version_path(parts["mix"], str(version), RECORD_FILE) not in self.files:
                yield Finding(path, "damaged", f"a version {version!r} that is not there", _remedy(path))
        elif kind is layout.evidence_path:
            ledger.check_file(self.store, parts["digests"])
        elif kind is layout.evidence_set_path:
            ledger.pinned_rows(self.store, parts["key"])
        elif kind in _SEALED_JSON:
            self.store.read_json(path)
        # Files of fits and proposals are checked with the results that name them; probes hold nothing.

    def _result(self, path: str) -> Iterator[Finding]:
        result = parse_result(self.store.read_json(path), self.store.place(path))
        for file, sha256 in result.get("files", {}).items():
            self.referred.add(file)
            try:
                if sha256 is not None:
                    self.store.read_bytes(file, sha256)
                elif file.endswith(".json"):
                    self.store.read_json(file)
                elif not self.store.exists(file):
                    raise FileNotFoundError
            except FileNotFoundError:
                yield Finding(file, "missing", f"{path} refers to it", "run again")
            except DamageError as error:
                yield Finding(file, "damaged", error.found, _remedy(file))

    def _proxy_run(self, path: str, key: str) -> Iterator[Finding]:
        run, model = self.store.read_json(path), layout.proxy_model_path(key)
        # A trainer of the user's own reports metrics and leaves no model.
        if "metrics" not in run and model not in self.files:
            yield Finding(model, "missing", f"{path} refers to it", "run again")

    def _proxy_tensors(self, path: str, key: str) -> Iterator[Finding]:
        load_tensors(self.store.local_copy(path), self.store.place(path))
        if layout.proxy_run_path(key) not in self.files:
            yield Finding(path, "unfinished", "a proxy that was being trained", "run again")

    def _corpus(self, path: str, key: str) -> Iterator[Finding]:
        index, tokens = layout.corpus_path(key, PASSAGES_FILE), layout.corpus_path(key, TOKENS_FILE)
        if not {index, tokens} <= self.files:
            yield Finding(path, "unfinished", "a leaf that was being tokenised", "run again")
        elif path == tokens:
            expected = load_tensors(self.store.local_copy(index), self.store.place(index))["checks"]
            content = np.memmap(self.store.local_copy(tokens), np.uint8, "r")
            CheckedTokens(content, expected, self.store.place(tokens)).check_all()

    def _version_file(self, path: str, parts: dict[str, str]) -> Iterator[Finding]:
        record_path = layout.version_path(parts["mix"], parts["version"], RECORD_FILE)
        if record_path not in self.files:
            yield Finding(path, "unfinished", "a version that was being published", "none")
        elif path == record_path:
            self.records[path] = self._read_record(path)
            yield from self._record(path, self.records[path])
        else:
            try:
                record = self.records[record_path] if record_path in self.records else self._read_record(record_path)
            except StoreError:
                return  # reported for the record itself
            self.store.read_bytes(path, record.files.get(parts["version_file"]))

    def _read_record(self, path: str) -> MixRecord:
        place = self.store.place(path)
        return as_mix(parse_record(self.store.read_json(path), place), place)

    def _record(self, path: str, record: MixRecord) -> Iterator[Finding]:
        """Check the references of the record of a version."""
        name, version, parent = record.name, record.version, record.parent
        beside = [layout.version_path(name, version, file) for file in record.files]
        missing = [file for file in beside if file not in self.files]
        if missing and number_of(version) > number_of(latest_version(self.store, name)):
            # The record claims a version before the other files of it are written.
            yield Finding(path, "unfinished", "a version that was being published", "run again")
            return
        for file in missing:
            yield Finding(file, "missing", f"{path} refers to it", "none")
        if parent is not None and layout.version_path(name, parent, RECORD_FILE) not in self.files:
            yield Finding(path, "missing", f"its parent {parent} is not there", "none")
        tokenizer = layout.tokenizer_path(record.tokenizer.fingerprint)
        if tokenizer not in self.files:
            yield Finding(tokenizer, "missing", f"{path} refers to it", "run again")

    def orphans(self) -> Iterator[Finding]:
        """Files that no result refers to."""
        for path in self.files - self.referred:
            kind = layout.kind_of(path)
            if kind in _OUTPUTS:
                yield Finding(path, "orphan", "no result refers to it", "collect")
            elif (parts := layout.payload_path.match(path)) and layout.step_result_path(
                *parts.values()
            ) not in self.files:
                yield Finding(path, "orphan", "the result that it belongs to is not there", "collect")

    def evidence(self) -> Iterator[Finding]:
        """Proxies that the ledger refers to, and rows that versions refer to."""
        try:
            table = ledger.read(self.store, ["row", "proxy", "imported"])
        except StoreError:
            return  # reported for the file itself
        for proxy, imported in sorted(set(zip(table["proxy"].to_pylist(), table["imported"].to_pylist(), strict=True))):
            run = layout.proxy_run_path(proxy)
            if not imported and run not in self.files:
                what = "the ledger speaks of this proxy, which can be measured on no further task"
                yield Finding(run, "missing", what, "none")
        for path, record in self.records.items():
            try:
                ledger.of_set(self.store, record.evidence, table)
            except StoreError as error:
                yield Finding(path, "missing", f"its evidence: {error}", "none")


def _newest_whole_version(store: Store, name: str) -> str:
    """The newest version of a mix that has a record. Raises StoreError if there is none."""
    folder = layout.mix_folder(name)
    for version in reversed(layout.published_versions(store.list(folder))):
        if store.exists(layout.version_path(name, version, RECORD_FILE)):
            return version
    raise StoreError(f"{store.place(folder)}: found no whole version; expected one: restore it from a copy")


def _remedy(path: str) -> Remedy:
    """How a damaged file is mended."""
    kind = layout.kind_of(path)
    if kind in _SMALL:
        return "remove"
    if kind is layout.latest_path:
        return "rebuild"
    if path.partition("/")[0] in _MADE_BY_RUNS:
        return "set aside"
    return "none"
