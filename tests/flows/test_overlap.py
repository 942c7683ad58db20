"""Text that proxies are evaluated on is not trained on, wherever else it stands; what stands twice is told."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flows.pipeline.forecast import forecast
from flows.reports.explain import explain
from flows.reports.plan import Plan, make_plan
from olmix_core.config.load import load_config
from olmix_core.data import tokenisation
from olmix_core.data.corpus import open_corpus
from olmix_core.data.overlap import Overlap
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.errors import DataError
from olmix_core.evidence import ledger
from olmix_core.evidence.rows import from_table
from olmix_core.mixes.versions import read_latest
from olmix_core.proxies.sequences import Sequences
from olmix_core.storage.store import Store
from olmix_core.workers import handlers
from olmix_core.workers.pool import worker_pool

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=2 + n % 8)) for n in range(2000)]
TASKS = [{"heldout": "docs"}, {"heldout": "web"}]


def documents(seed: int, count: int, words: int = 150) -> list[str]:
    """Different documents, none of which has a sentence in common with another."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(count)]


DOCS, WEB, CODE = documents(1, 200), documents(2, 600), documents(3, 100)


@pytest.fixture(autouse=True)
def _held_out_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of large domains: the larger of two holds a smaller share out, so other text than the smaller."""
    monkeypatch.setattr(tokenisation, "HELDOUT_BYTES", 9000)


def write(path: Path, texts: Sequence[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


@pytest.fixture
def make(project: Callable[..., Path], tmp_path: Path) -> Edit:
    """make(web=texts, ..., **changes) -> path of a configuration over domains of these texts."""

    def make(domains: Mapping[str, Sequence[str]], **changes: Any) -> Path:
        for name, texts in domains.items():
            write(tmp_path / f"{name}.jsonl", texts)
        config = {
            "domains": [{"name": name, "paths": f"{name}.jsonl"} for name in domains],
            "tokenizer": {"kind": "bytes"},
            "evaluation": {"tasks": TASKS},
        }
        return project(**{**config, **changes})

    return make


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The batches that proxies were trained on, in this process."""
    batches: list[np.ndarray] = []
    read = Sequences.batch

    def batch(self: Sequences, step: int) -> np.ndarray:
        batches.append(read(self, step))
        return batches[-1]

    monkeypatch.setattr(Sequences, "batch", batch)
    monkeypatch.setattr(
        worker_pool, "run", lambda job, progress=lambda state: None, hours=0.0: handlers.handle(job, progress)
    )
    return batches


def texts_of(ids: Sequence[np.ndarray]) -> list[str]:
    return [bytes(part[part < 256].astype(np.uint8).tolist()).decode() for part in ids]


def heldout(store: Store, record: Mapping[str, Any], domain: str) -> list[str]:
    """The held-out passages of a domain, read from the store."""
    [leaf] = [leaf["fingerprint"] for leaf in record["domain_set"] if leaf["label"] == domain]
    for key in record["keys"]["statistics"]:
        payload = store.read_json(f"cache/statistics/{key}.payload.json")["payload"]
        if payload["content"] == leaf:
            return texts_of(open_corpus(store, f"cache/tokens/{key}", byte_tokenizer().dtype).heldout)
    raise AssertionError(domain)


def planned(path: Path) -> Plan:
    return make_plan(load_config(path), str(path))


def test_held_out_text_in_a_larger_domain_is_not_trained_on(
    make: Edit, run: Run, trained: list[np.ndarray], tmp_path: Path
) -> None:
    config = make({"docs": DOCS, "web": [*WEB, *DOCS]})
    proxy = yaml.safe_load(config.read_text())["proxy"]
    config = make({"docs": DOCS, "web": [*WEB, *DOCS]}, proxy={**proxy, "sequence_length": 64, "tokens": 64 * 1024})
    record, executed = run(config)
    assert executed["overlap"] == 1
    store = Store(str(tmp_path / "store"))
    protected = set(heldout(store, record, "docs"))
    own = set(heldout(store, record, "web"))
    assert len(protected - own) >= 5
    windows = [text for batch in trained for text in texts_of(list(batch))]
    assert len(windows) > 6 * 1000
    everything = "\0".join(protected)
    assert not [text for text in windows if text in everything]
    # The windows are of that text: every other document was read.
    assert sum(text in "\0".join([*WEB, *DOCS]) for text in windows) > 0.5 * len(windows)

    passages = len(protected - own)
    remark = f"web holds {passages} of {len(protected)} passages held out of docs: {passages} passages of it ("
    shared = f"docs and web share {len(DOCS)} different documents, of {len(DOCS)} and {len(WEB) + len(DOCS)}"
    for notes in (record["notes"], planned(config).notes):
        assert [note for note in notes if note.startswith(remark) and note.endswith("are not trained on")]
        assert shared in notes
    leaves = {leaf["label"]: leaf for leaf in record["domain_set"]}
    excluded = sum(len(text) + 1 for text in protected - own)
    assert {name: leaf.get("excluded_tokens") for name, leaf in leaves.items()} == {"docs": None, "web": excluded}
    # Natural weights follow the files.
    tokens = {name: leaf["tokens"] - leaf["heldout_tokens"] for name, leaf in leaves.items()}
    assert record["target_tokens"] == sum(tokens.values())
    assert not planned(config).pending


def test_earlier_proxies_are_not_measured_on_text_that_they_trained_on(make: Edit, run: Run, tmp_path: Path) -> None:
    run(make({"code": CODE, "web": [*WEB, *DOCS]}, evaluation={"tasks": [{"heldout": "web"}]}))
    store = Store(str(tmp_path / "store"))
    earlier = {row.proxy for row in from_table(ledger.read(store))}
    after = make({"code": CODE, "web": [*WEB, *DOCS], "docs": DOCS})
    record, executed = run(after)
    assert executed["overlap"] == 1
    leaves = {leaf["label"]: leaf["fingerprint"] for leaf in record["domain_set"]}
    [docs] = [task["fingerprint"] for task in record["tasks"] if "docs" in task["name"]]
    rows = from_table(ledger.read(store))
    measured = {row.proxy for row in rows if docs in row.bpb}
    read = {row.proxy for row in rows if row.proxy in earlier and leaves["web"] in row.mixture}
    assert read
    assert measured == {row.proxy for row in rows} - read
    _, executed = run(after)
    assert set(executed) == {"publish"}


def test_evidence_of_proxies_that_trained_on_text_of_tasks_is_left_out(
    make: Edit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = {"docs": DOCS, "web": [*WEB, *DOCS]}
    monkeypatch.setattr(Overlap, "exclusions", {})  # as of a release that did not look for such text
    run(make(domains, name="first"))
    monkeypatch.undo()
    monkeypatch.setattr(tokenisation, "HELDOUT_BYTES", 9000)
    config = make(domains, name="second")
    record = yaml.safe_load(config.read_text())
    config.write_text(
        yaml.safe_dump({**record, "swarm": {**record["swarm"], "seed": 9}, "reuse": {"strategy": "auto"}})
    )
    spoiled = planned(config).evidence.left_out["trained on text of a task"]
    found, executed = run(config)
    assert executed["train"] == spoiled
    assert found["pool"]["left_out"] == {"trained on text of a task": spoiled}


def test_without_overlap_no_key_changes(make: Edit, run: Run, tmp_path: Path) -> None:
    config = make({"code": CODE, "web": WEB}, evaluation={"tasks": [{"heldout": "web"}, {"file": "task.jsonl"}]})
    record, _ = run(config)
    store = Store(str(tmp_path / "store"))
    for key in record["keys"]["train"]:
        payload = store.read_json(f"cache/train/{key}.payload.json")["payload"]
        assert payload.keys() == {"mixture", "recipe", "tokenizer"}
    [leaf, other] = record["domain_set"]
    assert "excluded_tokens" not in leaf.keys() | other.keys()
    assert not [note for note in record["notes"] if "trained on" in note or "share" in note]


def test_only_proxies_of_domains_that_hold_text_change(make: Edit, run: Run, tmp_path: Path) -> None:
    make({"code": CODE, "web": [*WEB, *DOCS], "docs": DOCS})
    record, _ = run(make({"code": CODE, "web": [*WEB, *DOCS], "docs": DOCS}))
    store = Store(str(tmp_path / "store"))
    [web] = [leaf["fingerprint"] for leaf in record["domain_set"] if leaf["label"] == "web"]
    for key in record["keys"]["train"]:
        payload = store.read_json(f"cache/train/{key}.payload.json")["payload"]
        assert payload.get("exclusions", {}).keys() == payload["mixture"].keys() & {web}


def test_text_of_tasks_in_a_domain_is_not_trained_on(make: Edit, run: Run, tmp_path: Path) -> None:
    questions = documents(7, 20, 30)
    pages = [f"{page} {question} {page[::-1]}" for page, question in zip(documents(8, 20), questions, strict=True)]
    tasks = [{"heldout": "code"}, {"file": "quiz.jsonl", "name": "quiz"}]
    config = make({"code": CODE, "web": [*WEB, *pages]}, evaluation={"tasks": tasks})
    items = [{"context": text[:100], "continuation": text[100:]} for text in questions]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    record, _ = run(config)
    [note] = [note for note in record["notes"] if "trained on" in note]
    count = int(note.split()[2])
    assert note.startswith(f"web holds {count} of 20 passages of task quiz: {count} passages of it (")
    assert count >= 18  # the others are held out of web


def test_the_same_file_twice_is_told(make: Edit, tmp_path: Path) -> None:
    config = make({"code": CODE, "web": WEB, "docs": DOCS})
    (tmp_path / "pages").mkdir()
    for name in ("a", "b"):
        write(tmp_path / "pages" / f"{name}.jsonl", DOCS)
    write(tmp_path / "pages" / "c.jsonl", WEB)
    record = yaml.safe_load(config.read_text())
    record["domains"][1]["paths"] = ["pages/*.jsonl", "pages/c*", "pages/c.jsonl"]
    config.write_text(yaml.safe_dump(record))
    notes = planned(config).notes
    assert "web: files of the same content, of which each counts: a.jsonl = b.jsonl" not in notes
    assert "docs and web hold files of the same content: docs.jsonl = a.jsonl = b.jsonl" in notes
    # A path that several patterns match is one file.
    assert not [note for note in notes if "c.jsonl" in note]


def test_a_domain_of_task_text_alone_is_refused(make: Edit, run: Run, tmp_path: Path) -> None:
    questions = documents(7, 40, 30)
    tasks = [{"heldout": "code"}, {"file": "quiz.jsonl", "name": "quiz"}]
    config = make({"code": CODE, "answers": questions}, evaluation={"tasks": tasks})
    items = [{"context": "", "continuation": text} for text in questions]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    with pytest.raises(DataError, match=r"domain 'answers': found [\d,]+ of [\d,]+ tokens that .* \(quiz\)"):
        run(config)


def test_why_names_the_overlap(make: Edit, run: Run) -> None:
    config = make({"docs": DOCS, "web": [*WEB, *DOCS]})
    run(config)
    changed = make({"docs": DOCS, "web": [*WEB, *DOCS]}, evaluation={"tasks": [*TASKS, {"file": "task.jsonl"}]})
    prospect = forecast(load_config(changed), str(changed))
    last = read_latest(prospect.inputs.store, "test")
    reasons = {reason.step: reason for reason in explain(prospect, last, prospect.inputs.store)}
    assert reasons["overlap"].cause == "EVAL"
