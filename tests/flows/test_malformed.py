"""Malformed configurations and data files stop the command line at once, each with one message and no trace.

`olmix run` on each: exit code 1, a message that names the file, the field, what was found and what was expected; no
traceback; and not one file written.
"""

import copy
import gzip
import json
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.cli import app as cli

SECONDS = 5.0  # of processor time: the machine may be busy

PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 400
CODE = "def add(left: int, right: int) -> int:\n    return left + right\n\n\n" * 400
TASK = '{"context": "It was the ", "continuation": "best of times"}\n'

VALID: dict[str, Any] = {
    "name": "test",
    "store": "store",
    "domains": [{"name": "prose", "paths": "prose.txt"}, {"name": "code", "paths": "code.jsonl"}],
    "evaluation": {"tasks": [{"heldout": "prose"}, {"file": "task.jsonl"}]},
    "proxy": {"tokens": 8192},
}


def parquet(**columns: list[Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


def broken_gzip() -> bytes:
    content = bytearray(gzip.compress(json.dumps({"text": PROSE}).encode()))
    content[20:40] = b"\xff" * 20
    return bytes(content)


@dataclass(frozen=True)
class Case:
    """What is wrong (fields of the configuration replaced, None removes; or its text; files added) and the message.

    `{dir}` in the message stands for the folder of the configuration, which is mix.yaml.
    """

    message: str
    changes: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    files: dict[str, str | bytes] = field(default_factory=dict)


def first_domain(**fields: Any) -> dict[str, Any]:
    return {"domains": [{"name": "prose", **fields}, {"name": "code", "paths": "code.jsonl"}]}


def topics(*topics: dict[str, Any]) -> dict[str, Any]:
    return first_domain(topics=list(topics))


CASES: dict[str, Case] = {
    # The file itself
    "no YAML at all": Case(
        "{dir}/mix.yaml: (file): found 'once upon a time'; expected a mapping with name, domains and evaluation",
        text="once upon a time\n",
    ),
    "broken YAML": Case("{dir}/mix.yaml: line 2: found expected ',' or ']'", text="name: [a\ndomains: b\n"),
    "empty file": Case("{dir}/mix.yaml: (file): found None; expected a mapping", text=""),
    "no UTF-8": Case("{dir}/mix.yaml: (file): found 'utf-8' codec", text="name: \udce4\n"),
    "a control character": Case("{dir}/mix.yaml: (file): found no YAML; expected valid YAML", text="name: \x01\n"),
    "a key twice": Case(
        "{dir}/mix.yaml: line 2: found the key 'name' twice in one mapping; expected valid YAML",
        text="name: a\nname: b\n",
    ),
    "a template left unfilled": Case("{dir}/mix.yaml: line 1: found {'NAME': None} as the name", text="{{NAME}}: a\n"),
    "a date that is none": Case("{dir}/mix.yaml: (file): found month must be in 1..12", text="name: 2026-13-01\n"),
    # Fields
    "unknown field": Case(
        "{dir}/mix.yaml: proxy.layer: found an unknown field; expected one of recipe, layers, width",
        {"proxy": {"layer": 2}},
    ),
    "unknown field of a topic": Case(
        "{dir}/mix.yaml: domains[0].topics[0].path: found an unknown field; expected one of name, paths, topics",
        topics({"name": "a", "paths": "prose.txt", "path": "prose.txt"}),
    ),
    "wrong type": Case(
        "{dir}/mix.yaml: proxy.layers: found 'two'; expected a valid integer", {"proxy": {"layers": "two"}}
    ),
    "a list for a mapping": Case("{dir}/mix.yaml: swarm: found [1]; expected a mapping of fields", {"swarm": [1]}),
    "missing field": Case(
        "{dir}/mix.yaml: evaluation: found nothing; expected this field, which is required", {"evaluation": None}
    ),
    "negative KL": Case(
        "{dir}/mix.yaml: proposal.kl: found -0.1; expected greater than or equal to 0", {"proposal": {"kl": -0.1}}
    ),
    "NaN": Case("{dir}/mix.yaml: proposal.kl: found nan; expected a finite number", {"proposal": {"kl": float("nan")}}),
    "infinite": Case(
        "{dir}/mix.yaml: proposal.target_tokens: found inf; expected a finite number",
        {"proposal": {"target_tokens": float("inf")}},
    ),
    "a kind of tokenizer that there is not": Case(
        "{dir}/mix.yaml: tokenizer.kind: found 'words'; expected 'bpe', 'file', 'bytes'",
        {"tokenizer": {"kind": "words"}},
    ),
    # Domains
    "a domain twice": Case(
        "{dir}/mix.yaml: (file): found the name 'prose' twice; expected different names for siblings",
        {"domains": [{"name": "prose", "paths": "prose.txt"}, {"name": "prose", "paths": "code.jsonl"}]},
    ),
    "a domain without data": Case(
        "{dir}/mix.yaml: domains[0]: found none of them; expected exactly one of paths, topics, quality",
        first_domain(),
    ),
    "a domain with paths and topics": Case(
        "{dir}/mix.yaml: domains[0]: found paths and topics; expected exactly one of paths, topics, quality",
        first_domain(paths="prose.txt", topics=[{"name": "a", "paths": "prose.txt"}]),
    ),
    "an empty path": Case(
        "{dir}/mix.yaml: domains[0]: found an empty path; expected at least one file or glob", first_domain(paths=" ")
    ),
    "no domains": Case("{dir}/mix.yaml: domains: found []; expected", {"domains": []}),
    "weights that do not add up": Case(
        "{dir}/mix.yaml: domains[0]: found weights that add up to 0.9; expected 1",
        topics({"name": "a", "paths": "prose.txt", "weight": 0.5}, {"name": "b", "paths": "code.jsonl", "weight": 0.4}),
    ),
    "a weight missing": Case(
        "{dir}/mix.yaml: domains[0]: found no weight for 'b'; expected a weight for all of these siblings or for none",
        topics({"name": "a", "paths": "prose.txt", "weight": 0.5}, {"name": "b", "paths": "code.jsonl"}),
    ),
    "a weight on a source": Case(
        "{dir}/mix.yaml: (file): found a weight for the source 'prose'; expected weights only on topics",
        {"domains": [{"name": "prose", "paths": "prose.txt", "weight": 1.0}]},
    ),
    "a glob that matches nothing": Case(
        "{dir}/mix.yaml: domains[0].paths: found no file at {dir}/none/*.txt; expected at least one file",
        first_domain(paths="none/*.txt"),
    ),
    "no such file": Case(
        "{dir}/mix.yaml: domains[0].paths: found no file at {dir}/none.txt; expected at least one file",
        first_domain(paths=["prose.txt", "none.txt"]),
    ),
    "a URL of no known kind": Case(
        "{dir}/mix.yaml: domains[0].paths: found s4://bucket/x: Protocol not known: s4",
        first_domain(paths="s4://bucket/x"),
    ),
    "an unknown format": Case(
        "{dir}/mix.yaml: domains[0].paths: found a file of unknown format: file://{dir}/prose.pdf; expected one",
        first_domain(paths="prose.pdf"),
        files={"prose.pdf": b"%PDF"},
    ),
    "an empty data file": Case(
        "{dir}/mix.yaml: domains[0].paths: found only empty files; expected files with text or tokens",
        first_domain(paths="empty.txt"),
        files={"empty.txt": ""},
    ),
    "one content in two domains": Case(
        "{dir}/mix.yaml: domains[1].paths: found the content of 'copy' to be that of 'prose'; expected every leaf",
        {"domains": [{"name": "prose", "paths": "prose.txt"}, {"name": "copy", "paths": "copy.txt"}]},
        files={"copy.txt": PROSE},
    ),
    "tokens without their tokenizer": Case(
        "{dir}/mix.yaml: tokenizer: found kind 'bpe' for the tokens in file://{dir}/a.npy; expected the tokenizer.json",
        first_domain(paths="a.npy"),
        files={"a.npy": np.arange(1000, dtype="<u2").tobytes()},
    ),
    "a tokenizer that is none": Case(
        "{dir}/tokenizer.json: cannot be read as a tokenizer",
        {"tokenizer": {"path": "tokenizer.json"}},
        files={"tokenizer.json": "{}"},
    ),
    "a tokenizer that is not there": Case(
        "{dir}/mix.yaml: tokenizer.path: found {dir}/tokenizer.json: no such file or directory; expected a tokenizer",
        {"tokenizer": {"path": "tokenizer.json"}},
    ),
    # Other sections
    "a proxy longer than the data allows": Case(
        "{dir}/mix.yaml: proxy.tokens: found 100,000,000, but only 59,213 bytes of data; expected at most 236,852",
        {"proxy": {"tokens": 100_000_000}},
    ),
    "a width that its heads do not divide": Case(
        "{dir}/mix.yaml: proxy: found width 10 with 4 heads; expected a width divisible by twice the heads",
        {"proxy": {"width": 10, "heads": 4}},
    ),
    "a store of no known kind": Case(
        "store: s4://bucket/x cannot be opened: Protocol not known: s4; expected a folder or a URL",
        {"store": "s4://bucket/x"},
    ),
    "bounds of an unknown leaf": Case(
        "{dir}/mix.yaml: swarm.bounds.proze: found a domain that is not there; expected one of code, prose",
        {"swarm": {"bounds": {"proze": [0, 0.5]}}},
    ),
    "bounds in the wrong order": Case(
        "{dir}/mix.yaml: swarm: found bounds [0.5, 0.2] for 'prose'; expected 0 <= low <= high <= 1",
        {"swarm": {"bounds": {"prose": [0.5, 0.2]}}},
    ),
    # Data files
    "damaged JSON lines": Case(
        "{dir}/bad.jsonl: line 2: found no JSON (",
        first_domain(paths="bad.jsonl"),
        files={"bad.jsonl": '{"text": "' + "a " * 2000 + '"}\n{"text": "b\n'},
    ),
    "JSON lines without the field": Case(
        "{dir}/bad.jsonl: line 1: field 'text': found nothing; expected text (set text_field to its name)",
        first_domain(paths="bad.jsonl"),
        files={"bad.jsonl": '{"body": "' + "a " * 2000 + '"}\n'},
    ),
    "half a character": Case(
        "{dir}/bad.jsonl: line 1: field 'text': found half a surrogate pair",
        first_domain(paths="bad.jsonl"),
        files={"bad.jsonl": '{"text": "' + "a " * 2000 + '\\ud83d"}\n'},
    ),
    "text that is no UTF-8": Case(
        "{dir}/bad.txt: byte 5000 is not UTF-8; expected text in UTF-8: convert the file",
        first_domain(paths="bad.txt"),
        files={"bad.txt": b"a" * 5000 + "ä".encode("latin-1")},
    ),
    "damaged gzip": Case(
        "{dir}/bad.jsonl.gz: cannot be read as .jsonl.gz",
        first_domain(paths="bad.jsonl.gz"),
        files={"bad.jsonl.gz": broken_gzip()},
    ),
    "parquet without the column": Case(
        "{dir}/bad.parquet: column 'text': found only body, id; expected a column of text (set text_field",
        first_domain(paths="bad.parquet"),
        files={"bad.parquet": parquet(body=["a"], id=[1])},
    ),
    "parquet that is none": Case(
        "{dir}/bad.parquet: cannot be read as .parquet",
        first_domain(paths="bad.parquet"),
        files={"bad.parquet": PROSE},
    ),
    # Tasks
    "heldout of an unknown domain": Case(
        "{dir}/mix.yaml: evaluation.tasks[0].heldout: found 'poetry'; expected the name of a domain: code, prose",
        {"evaluation": {"tasks": [{"heldout": "poetry"}]}},
    ),
    "a task of two kinds": Case(
        "{dir}/mix.yaml: evaluation.tasks[0]: found file and heldout; expected exactly one of file, text",
        {"evaluation": {"tasks": [{"heldout": "prose", "file": "task.jsonl"}]}},
    ),
    "two tasks of one name": Case(
        "{dir}/mix.yaml: evaluation: found two tasks called 'task'; expected different names",
        {"evaluation": {"tasks": [{"file": "task.jsonl"}, {"name": "task", "heldout": "code"}]}},
    ),
    "a task twice": Case(
        "{dir}/mix.yaml: evaluation.tasks[1]: found the content of task 'task' again; expected every task",
        {"evaluation": {"tasks": [{"file": "task.jsonl"}, {"file": "same.jsonl"}]}},
        files={"same.jsonl": TASK},
    ),
    "a task file that is not there": Case(
        "{dir}/mix.yaml: evaluation.tasks[0].file: found {dir}/none.jsonl: no such file or directory; expected a file",
        {"evaluation": {"tasks": [{"file": "none.jsonl"}]}},
    ),
    "a task file with a field missing": Case(
        "{dir}/bad.jsonl: line 2: found no text in field 'continuation'; expected text",
        {"evaluation": {"tasks": [{"file": "bad.jsonl"}]}},
        files={"bad.jsonl": TASK + '{"context": "a", "target": "b"}\n'},
    ),
    "a task file without documents": Case(
        "{dir}/bad.jsonl: found no documents; expected at least one",
        {"evaluation": {"tasks": [{"file": "bad.jsonl"}]}},
        files={"bad.jsonl": "\n"},
    ),
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Case], Path]:
    """Write the files of a case; gives the configuration."""

    def write(case: Case) -> Path:
        (tmp_path / "prose.txt").write_text(PROSE)
        (tmp_path / "code.jsonl").write_text(json.dumps({"text": CODE}) + "\n")
        (tmp_path / "task.jsonl").write_text(TASK)
        for name, content in case.files.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        config = {k: v for k, v in (copy.deepcopy(VALID) | case.changes).items() if v is not None}
        text = yaml.safe_dump(config) if case.text is None else case.text
        path = tmp_path / "mix.yaml"
        path.write_bytes(text.encode(errors="surrogateescape"))
        return path

    return write


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def check(message: str, case: Case, folder: Path) -> None:
    assert case.message.replace("{dir}", str(folder)) in message
    assert "expected" in message
    assert "Traceback" not in message
    assert message.strip().startswith("error ")
    assert len(message.strip().splitlines()) == 1


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_in_one_message_and_nothing_is_written(
    name: str,
    make: Callable[[Case], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make(CASES[name])
    before, started = files_in(config.parent), time.process_time()
    monkeypatch.setattr(sys, "argv", ["olmix", "run", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert time.process_time() - started < SECONDS
    said = capsys.readouterr()
    assert said.out == ""
    check(said.err, CASES[name], config.parent)
    assert files_in(config.parent) == before


def child_seconds() -> float:
    """Processor time of programs that this process ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "name",
    ["unknown field", "a glob that matches nothing", "damaged JSON lines", "a proxy longer than the data allows"],
)
def test_the_console_script_ends_within_seconds(name: str, make: Callable[[Case], Path]) -> None:
    config = make(CASES[name])
    before, started = files_in(config.parent), child_seconds()
    script = Path(sysconfig.get_path("scripts")) / "olmix"
    ended = subprocess.run([script, "run", config], capture_output=True, text=True, check=False, cwd=config.parent)
    assert child_seconds() - started < SECONDS
    assert ended.returncode == 1
    assert ended.stdout == ""
    check(ended.stderr, CASES[name], config.parent)
    assert files_in(config.parent) == before


def test_a_configuration_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["olmix", "run", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert f"{tmp_path}/none.yaml: (file): found no such file or directory; expected" in capsys.readouterr().err


def test_what_the_cases_start_from_is_valid(make: Callable[[Case], Path]) -> None:
    from olmix_core.config.load import load_config
    from olmix_core.planning.preflight import resolve_inputs

    config = make(Case(""))
    inputs = resolve_inputs(load_config(config), str(config))
    assert len(inputs.domains.leaves) == len(inputs.tasks) == 2
