"""Is a store whole? Every file against its seal, and everything that refers to something against what is there.

    damaged      another content than was written: it is not used
    missing      something refers to it, and it is not there
    unfinished   left by something that was killed: the next run goes on from it, or writes it anew
    orphan       nothing refers to it (`garbage` removes it)
    unknown      no file of a store

What can be made anew is mended by taking it away: the next run finds it missing. The ledger of evidence and published
mixtures are the record, and are never touched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from olmix_core.errors import DamageError, StoreError
from olmix_core.evidence import ledger
from olmix_core.mixes.record import latest_version, mix_folder
from olmix_core.storage import local_cache as copies
from olmix_core.storage.integrity import CheckedTokens, load_tensors
from olmix_core.storage.results import result_of
from olmix_core.storage.store import Store

Kind = Literal["damaged", "missing", "unfinished", "orphan", "unknown"]
Remedy = Literal["set aside", "remove", "rebuild", "run again", "collect", "none"]

MENDED: tuple[Remedy, ...] = ("set aside", "remove", "rebuild")  # by `repair`
HARMLESS: tuple[Kind, ...] = ("unfinished", "orphan", "unknown")

_RESULT = re.compile(r"cache/(?!jobs/)[a-z_]+/[0-9a-f]{64}\.json")
_JOB = re.compile(r"cache/jobs/[0-9a-f]{64}\.json")
_PAYLOAD = re.compile(r"cache/[a-z_]+/[0-9a-f]{64}\.payload\.json")
_CORPUS = re.compile(r"cache/tokens/[0-9a-f]{64}/(tokens\.bin|passages\.safetensors)")
_OUTPUT = re.compile(r"cache/(surrogates|proposals)/[0-9a-f]{64}/[a-z_]+\.(json|csv|parquet)")
_PROXY = re.compile(r"proxies/([0-9a-f]{64})/(run\.json|model\.safetensors|checkpoint\.safetensors)")
_TOKENIZER = re.compile(r"tokenizers/[0-9a-f]{64}\.json")
_EVIDENCE = re.compile(r"evidence/([0-9a-f]{64}-[0-9a-f]{16})\.parquet")
_SET = re.compile(r"evidence/sets/([0-9a-f]{64})\.parquet")
_VERSION = re.compile(r"mixes/([^/]+)/(v\d+)/([a-z_]+\.(json|csv|parquet|html))")
_WATCHED = re.compile(r"watched/[^/]+\.json")
_LATEST = re.compile(r"mixes/([^/]+)/latest\.json")
_PROBES = ("cache/.preflight", "cache/.conditional", "cache/.lock")
_TEMPORARY = re.compile(r"(.*/)?\.new-[^/]*")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and how it is mended."""

    path: str
    kind: Kind
    what: str
    remedy: Remedy

    @property
    def is_harm(self) -> bool:
        return self.kind not in HARMLESS


def check(store: Store, progress: Callable[[int, int], None] = lambda done, of: None) -> list[Finding]:
    """Read the whole store and say what is wrong with it, by path; `progress` is told files done and in all.

    Raises StoreError where the store cannot be listed.
    """
    files = sorted(path for path in store.files() if not path.startswith("damaged/"))
    there, found = set(files), list[Finding]()
    mixes: dict[str, dict[str, Any]] = {}
    referred: set[str] = set()
    for number, path in enumerate(files):
        progress(number, len(files))
        copies.forget(store.place(path))  # what is looked at is the store
        try:
            found += _file(store, path, there, mixes, referred)
        except DamageError as error:
            damaged = error.where.removeprefix(f"{store.url}/")
            found.append(Finding(damaged, "damaged", error.found, _remedy(damaged)))
        except StoreError as error:
            found.append(Finding(path, "damaged", str(error), "none"))
        except FileNotFoundError:  # by a run beside this
            continue
    found += _orphans(there, referred)
    found += _evidence(store, there, mixes)
    progress(len(files), len(files))
    return sorted(set(found), key=lambda one: (one.path, one.what))


def repair(store: Store, findings: list[Finding]) -> list[Finding]:
    """Mend what can be mended; returns what is left. Raises StoreError."""
    for one in findings:
        if one.remedy == "set aside":
            store.set_aside(DamageError(store.place(one.path), one.what))
        elif one.remedy == "remove":
            store.remove(one.path)
        elif one.remedy == "rebuild":
            name = one.path.split("/")[1]
            store.write_json(one.path, {"version": _whole_versions(store, name)[-1]})
    return [one for one in findings if one.remedy not in MENDED]


def _file(
    store: Store, path: str, there: set[str], mixes: dict[str, dict[str, Any]], referred: set[str]
) -> Iterator[Finding]:
    """What is wrong with one file; fills `mixes` {path of mix.json: record} and `referred`, what results refer to."""
    if _TEMPORARY.fullmatch(path):
        yield Finding(path, "unfinished", "a file that was being written", "collect")
    elif _RESULT.fullmatch(path):
        yield from _result(store, path, referred)
    elif match := _PROXY.fullmatch(path):
        yield from _proxy(store, path, match[1], there)
    elif _CORPUS.fullmatch(path):
        yield from _corpus(store, path, there)
    elif match := _VERSION.fullmatch(path):
        yield from _version(store, path, there, mixes)
    elif match := _LATEST.fullmatch(path):
        version = latest_version(store, match[1])
        if f"{mix_folder(match[1], str(version))}/mix.json" not in there:
            yield Finding(path, "damaged", f"a version {version!r} that is not there", _remedy(path))
    elif match := _EVIDENCE.fullmatch(path):
        ledger.check_file(store, match[1])
    elif match := _SET.fullmatch(path):
        ledger.pinned_rows(store, match[1])
    elif any(kind.fullmatch(path) for kind in (_JOB, _PAYLOAD, _TOKENIZER, _WATCHED)):
        store.read_json(path)
    elif path not in _PROBES and not _OUTPUT.fullmatch(path):  # those are looked at with the results that name them
        yield Finding(path, "unknown", "a file that no run wrote", "none")


def _result(store: Store, path: str, referred: set[str]) -> Iterator[Finding]:
    result = result_of(store.read_json(path), store.place(path))
    for file, sha256 in result.get("files", {}).items():
        referred.add(file)
        try:
            if sha256 is not None:
                store.read_bytes(file, sha256)
            elif file.endswith(".json"):
                store.read_json(file)
            elif not store.exists(file):
                raise FileNotFoundError
        except FileNotFoundError:
            yield Finding(file, "missing", f"{path} refers to it", "run again")
        except DamageError as error:
            yield Finding(file, "damaged", error.found, _remedy(file))


def _proxy(store: Store, path: str, key: str, there: set[str]) -> Iterator[Finding]:
    if path.endswith("run.json"):
        run = store.read_json(path)
        if "metrics" not in run and f"proxies/{key}/model.safetensors" not in there:
            yield Finding(f"proxies/{key}/model.safetensors", "missing", f"{path} refers to it", "run again")
        return
    load_tensors(store.local_copy(path), store.place(path))
    if f"proxies/{key}/run.json" not in there:
        yield Finding(path, "unfinished", "a proxy that was being trained", "run again")


def _corpus(store: Store, path: str, there: set[str]) -> Iterator[Finding]:
    folder = path.rpartition("/")[0]
    index, tokens = f"{folder}/passages.safetensors", f"{folder}/tokens.bin"
    if not {index, tokens} <= there:
        yield Finding(path, "unfinished", "a leaf that was being tokenised", "run again")
    elif path == tokens:
        expected = load_tensors(store.local_copy(index), store.place(index))["checks"]
        content = np.memmap(store.local_copy(tokens), np.uint8, "r")
        CheckedTokens(content, expected, store.place(tokens)).check_all()


def _version(store: Store, path: str, there: set[str], mixes: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    folder, _, file = path.rpartition("/")
    whole = f"{folder}/mix.json"
    if whole not in there:
        yield Finding(path, "unfinished", "a version that was being published", "none")
    elif file == "mix.json":
        record = mixes[path] = store.read_json(path)
        gone = [name for name in record["files"] if f"{folder}/{name}" not in there]
        if gone and int(record["version"][1:]) > int((latest_version(store, record["name"]) or "v0")[1:]):
            # mix.json claims a version before its other files are written
            yield Finding(path, "unfinished", "a version that was being published", "run again")
            return
        for name in gone:
            yield Finding(f"{folder}/{name}", "missing", f"{path} refers to it", "none")
        parent, tokenizer = record["parent"], f"tokenizers/{record['tokenizer']['fingerprint']}.json"
        if parent is not None and f"{mix_folder(record['name'], parent)}/mix.json" not in there:
            yield Finding(path, "missing", f"its parent {parent} is not there", "none")
        if tokenizer not in there:
            yield Finding(tokenizer, "missing", f"{path} refers to it", "run again")
    else:
        try:
            expected = (mixes[whole] if whole in mixes else store.read_json(whole))["files"].get(file)
        except DamageError:
            return  # told of mix.json itself
        store.read_bytes(path, expected)


def _orphans(there: set[str], referred: set[str]) -> Iterator[Finding]:
    for path in there - referred:
        if _CORPUS.fullmatch(path) or _OUTPUT.fullmatch(path):
            yield Finding(path, "orphan", "no result refers to it", "collect")
        if _PAYLOAD.fullmatch(path) and path.replace(".payload.json", ".json") not in there:
            yield Finding(path, "orphan", "the result that it belongs to is not there", "collect")


def _evidence(store: Store, there: set[str], mixes: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """The ledger against the proxies that it speaks of, and the sets of mixes against the ledger."""
    try:
        table = ledger.read(store, ["row", "proxy", "imported"])
    except StoreError:
        return  # told of the file itself
    for proxy, imported in sorted(set(zip(table["proxy"].to_pylist(), table["imported"].to_pylist(), strict=True))):
        if not imported and f"proxies/{proxy}/run.json" not in there:
            what = "the ledger speaks of this proxy, which can be measured on no further task"
            yield Finding(f"proxies/{proxy}/run.json", "missing", what, "none")
    for path, record in mixes.items():
        try:
            ledger.of_set(store, record["evidence"], table)
        except StoreError as error:
            yield Finding(path, "missing", f"its evidence: {error}", "none")


def _whole_versions(store: Store, name: str) -> list[str]:
    """The versions of a mix that are whole, oldest first. Raises StoreError where there is none."""
    versions = sorted((v for v in store.list(f"mixes/{name}") if re.fullmatch(r"v\d+", v)), key=lambda v: int(v[1:]))
    whole = [version for version in versions if store.exists(f"{mix_folder(name, version)}/mix.json")]
    if not whole:
        raise StoreError(
            f"{store.place(f'mixes/{name}')}: found no whole version; expected one: restore it from a copy"
        )
    return whole


def _remedy(path: str) -> Remedy:
    """How a damaged file is mended."""
    if any(kind.fullmatch(path) for kind in (_RESULT, _JOB, _PAYLOAD, _WATCHED)):
        return "remove"
    if _LATEST.fullmatch(path):
        return "rebuild"
    if path.startswith(("cache/", "proxies/", "tokenizers/")):
        return "set aside"
    return "none"
