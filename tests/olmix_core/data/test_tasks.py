import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from olmix_core.config.config import Config
from olmix_core.data.domains import read_domains
from olmix_core.data.tasks import EvaluationTask, Item, read_items, read_tasks, sampled
from olmix_core.errors import ConfigError, DataError
from olmix_core.storage.content_index import ContentIndex

Read = Callable[..., tuple[EvaluationTask, ...]]
LINES = [{"context": "2 + 2 =", "continuation": " 4"}, {"context": "", "continuation": "Größe 漢字"}]


def write(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Read tasks, given as in a configuration, over the domains a, web:x and web:y."""
    for name in ("a", "x", "y"):
        (tmp_path / f"{name}.txt").write_text(f"text of {name}")
    index = ContentIndex(tmp_path / "index")

    def make(*tasks: dict[str, Any], labels: str = "a web x y", reverse: bool = False) -> tuple[EvaluationTask, ...]:
        a, web, x, y = labels.split()
        topics = [{"name": name, "paths": str(tmp_path / file)} for name, file in ((x, "x.txt"), (y, "y.txt"))]
        domains = [{"name": a, "paths": str(tmp_path / "a.txt")}, {"name": web, "topics": topics}]
        if reverse:
            domains.reverse()
            topics.reverse()
        config = Config.model_validate({"name": "test", "domains": domains, "evaluation": {"tasks": list(tasks)}})
        return read_tasks(config, "mix.yaml", read_domains(config, "mix.yaml", index), index)

    yield make
    index.close()


def test_items_are_what_the_lines_say(tmp_path: Path) -> None:
    file = write(tmp_path / "task.jsonl", LINES)
    Path(file).write_text(Path(file).read_text().replace("\n", "\n \n"))
    assert list(read_items(file)) == [Item(**record) for record in LINES]


def test_other_fields_are_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "task.jsonl", [LINES[0] | {"id": 7}])
    assert list(read_items(file)) == [Item("2 + 2 =", " 4")]


BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("nonsense", "line 3: found no JSON (.*); expected one JSON object a line"),
    "no UTF-8": ('{"context": "\udce4", "continuation": "a"}', "line 3: found no JSON"),
    "no object": ('["a", "b"]', "line 3: found no text in field 'context'; expected text"),
    "no context": ('{"continuation": "a"}', "line 3: found no text in field 'context'"),
    "no continuation": ('{"context": "a", "target": "b"}', "line 3: found no text in field 'continuation'"),
    "a number": ('{"context": "a", "continuation": 4}', "line 3: found no text in field 'continuation'"),
    "nothing to score": ('{"context": "a", "continuation": ""}', "line 3: found an empty continuation"),
    "half a character": ('{"context": "a", "continuation": "\\ud83d"}', "line 3: field 'continuation': found half a"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named(name: str, tmp_path: Path, read: Read) -> None:
    line, message = BAD[name]
    file = write(tmp_path / "task.jsonl", LINES)
    with Path(file).open("ab") as out:
        out.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(DataError, match=f"^{re.escape(file)}: {message}"):
        list(read_items(file))
    with pytest.raises(DataError, match=f"^{re.escape(file)}: {message}"):
        read({"file": file})


def test_a_file_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no documents; expected at least one"):
        list(read_items(write(tmp_path / "task.jsonl", [])))


def test_tasks_are_files_or_leaves(tmp_path: Path, read: Read) -> None:
    file = write(tmp_path / "arc.jsonl", LINES)
    by_label = {task.label: task for task in read({"file": file, "weight": 2}, {"heldout": "web"}, {"heldout": "a"})}
    assert by_label.keys() == {"arc", "web", "a"}
    assert (by_label["arc"].source.file, by_label["arc"].leaves, by_label["arc"].weight) == (file, (), 2.0)
    assert by_label["web"].source.file is None
    assert list(by_label["web"].leaves) == sorted(by_label["web"].leaves)
    assert len(by_label["web"].leaves) == 2
    assert len(by_label["a"].leaves) == 1


def test_names_order_and_weights_are_no_part_of_identity(tmp_path: Path, read: Read) -> None:
    first, moved = write(tmp_path / "one.jsonl", LINES), write(tmp_path / "moved.jsonl", LINES)
    before = read({"file": first}, {"heldout": "web"}, {"heldout": "web:y"})
    after = read(
        {"heldout": "crawl:best", "name": "other", "weight": 3},
        {"file": moved, "name": "renamed"},
        {"heldout": "crawl"},
        labels="book crawl worst best",
        reverse=True,
    )
    fingerprints = [task.fingerprint for task in before]
    assert fingerprints == sorted(set(fingerprints))
    assert [task.fingerprint for task in after] == fingerprints
    assert [task.leaves for task in after] == [task.leaves for task in before]


def test_content_is_identity(tmp_path: Path, read: Read) -> None:
    [one] = read({"file": write(tmp_path / "task.jsonl", LINES)})
    [other] = read({"file": write(tmp_path / "task.jsonl", LINES[:1])})
    assert one.fingerprint != other.fingerprint
    [leaf] = read({"heldout": "a"})
    (tmp_path / "a.txt").write_text("another text of a")
    [revised] = read({"heldout": "a"})
    assert leaf.fingerprint != revised.fingerprint


def test_the_same_task_twice_is_refused(tmp_path: Path, read: Read) -> None:
    one, same = write(tmp_path / "one.jsonl", LINES), write(tmp_path / "same.jsonl", LINES)
    with pytest.raises(ConfigError, match=r"evaluation\.tasks\[1\]: found the content of task 'one' again"):
        read({"file": one}, {"file": same})
    with pytest.raises(ConfigError, match=r"evaluation\.tasks\[1\]: found the content of task 'a' again"):
        read({"heldout": "a"}, {"heldout": "a", "name": "b"})


def test_an_unknown_domain_is_named_with_those_there_are(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"tasks\[1\]\.heldout: found 'we'; expected .*: a, web:x, web:y$"):
        read({"heldout": "a"}, {"heldout": "we"})


@pytest.mark.parametrize("file", ["none.jsonl", "", "s4://bucket/x.jsonl"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Read, file: str) -> None:
    path = file if "://" in file else str(tmp_path / file)
    with pytest.raises(
        ConfigError, match=r"mix\.yaml: evaluation\.tasks\[0\]\.file: found .*; expected a file that can"
    ):
        read({"file": path})


# Forms of a line


FORMS: dict[str, dict[str, Any]] = {
    "choices": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": 1, "id": 7},
    "choices, the gold as text": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": "1"},
    "choices, the gold as the text of an option": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": " 4"},
    "choices, the gold as text without its space": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": "4"},
    "choices, the gold as a letter": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": "B"},
    "choices, the gold as a small letter": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": "b"},
    "choices, the gold in a list": {"query": "2 + 2 =", "choices": [" 3", " 4"], "gold": [1]},
    "choices, several golds": {"query": "2 + 2 =", "choices": [" 3", " 4", " four"], "gold": ["B", 2]},
    "choices, a letter among options that are letters": {"query": "2 + 2 =", "choices": ["B", " 4"], "gold": "4"},
    "choices, the gold twice": {"query": "2 + 2 =", "choices": [" 4", " 3", " 4"], "gold": " 4"},
    "a log whose target is text": {"arguments": [["2 + 2 =", " 3"], ["2 + 2 =", " 4"]], "target": " 4"},
    "a log whose target is a letter": {"arguments": [["2 + 2 =", " 3"], ["2 + 2 =", " 4"]], "target": "B"},
    "a log whose target is a list": {"arguments": [["2 + 2 =", " 3"], ["2 + 2 =", " 4"]], "target": ["1"]},
    "a log of choices": {"doc_id": 0, "arguments": [["2 + 2 =", " 3"], ["2 + 2 =", " 4"]], "target": "1"},
    "a log of one continuation": {"doc_id": 0, "arguments": [["2 + 2 =", " 4"]], "target": "4"},
    "a newer log": {
        "doc_id": 0,
        "arguments": {
            "gen_args_0": {"arg_0": "2 + 2 =", "arg_1": " 3"},
            "gen_args_1": {"arg_0": "2 + 2 =", "arg_1": " 4"},
        },
        "target": 1,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_lines_of_other_tools_give_the_gold_continuation(form: str, tmp_path: Path) -> None:
    assert list(read_items(write(tmp_path / "task.jsonl", [FORMS[form]]))) == [Item("2 + 2 =", " 4")]


NUMBERS = "expected a number from 0 to {}, a letter, or the text of one of {} options"
PAIRS = "found no [context, continuation] in field 'arguments'; expected one for each option"
UNANSWERED = "which marks a document without an answer; expected only documents with one"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"query": "a", "choices": ["b"], "gold": 1}, f"found the gold 1; {NUMBERS.format(0, 1)}"),
        ({"query": "a", "choices": ["b"], "gold": -1}, f"found the gold -1, {UNANSWERED}"),
        ({"query": "a", "choices": ["b"], "gold": "-100"}, f"found the gold -100, {UNANSWERED}"),
        ({"query": "a", "choices": ["b", "c"], "gold": [-1]}, f"found the gold -1, {UNANSWERED}"),
        ({"query": "a", "choices": "bc", "gold": 0}, "found no list of texts in field 'choices'; expected the options"),
        ({"query": "a", "choices": ["b"]}, "found the gold None; expected the number, text or letter of an option"),
        (
            {"query": "a", "choices": ["b", "c"], "gold": True},
            "found the gold True; expected the number, text or letter of an option",
        ),
        ({"query": "a", "choices": ["b", "c"], "gold": 1.0}, "found the gold 1.0; expected the number, text or letter"),
        ({"query": "a", "choices": ["b"], "gold": []}, "found an empty list of golds; expected the right options"),
        ({"query": "a", "choices": ["b", "c"], "gold": "D"}, f"found the gold 'D'; {NUMBERS.format(1, 2)}"),
        ({"query": "a", "choices": ["b", "c"], "gold": "d" * 99}, f"found the gold {'d' * 57!r}...; expected a number"),
        (
            {"query": "1 + 1 =", "choices": ["1", "2"], "gold": "1"},
            "found the gold '1', which may be option 0 and 1; expected the number, without quotes",
        ),
        ({"arguments": [["a", "b"], ["a", "c"]], "target": "xyz"}, f"found the gold 'xyz'; {NUMBERS.format(1, 2)}"),
        ({"arguments": [], "target": 0}, PAIRS),
        ({"arguments": [["a"]]}, PAIRS),
        ({"arguments": "a"}, PAIRS),
        ({"arguments": {"x": 3}}, PAIRS),
        ({"arguments": [["a", None]]}, "found no text in field 'continuation'; expected text"),
    ],
)
def test_a_line_without_a_gold_continuation_is_named(record: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = write(tmp_path / "task.jsonl", [record])
    with pytest.raises(DataError) as caught:
        list(read_items(file))
    assert str(caught.value).startswith(f"{file}: line 1: {words}")


@pytest.mark.parametrize("line", ["[" * 100_000, '{"context":' * 100_000, '{"context": "a", "x": ' + "[" * 100_000])
def test_a_line_that_is_nested_too_deeply_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "task.jsonl"
    file.write_text(f"{json.dumps(LINES[0])}\n{line}\n")
    with pytest.raises(DataError) as caught:
        list(read_items(str(file)))
    assert str(caught.value) == (
        f"{file}: line 2: found JSON that is nested too deeply; expected one JSON object a line"
    )


# Samples


def test_a_sample_is_the_same_documents_each_time_and_another_task(read: Read, tmp_path: Path) -> None:
    file = write(tmp_path / "task.jsonl", [{"context": str(i), "continuation": "a"} for i in range(50)])
    items = list(read_items(file))
    small, large = sampled(items, (5, 0)), sampled(items, (20, 0))
    assert small == sampled(items, (5, 0))
    assert len(set(map(str, small))) == 5
    assert set(map(str, small)) < set(map(str, large))
    assert small == sorted(small, key=lambda item: int(item.context))
    assert small != sampled(items, (5, 1))
    assert sampled(items, None) == items
    tasks = [
        read({"file": file, **more})[0] for more in ({}, {"sample": 5}, {"sample": 5, "sample_seed": 1}, {"sample": 6})
    ]
    assert len({task.fingerprint for task in tasks}) == 4
    # A sample of all is the task itself.
    assert read({"file": file, "sample": 50})[0].fingerprint == tasks[0].fingerprint


# Plain text and metrics


def test_plain_text_is_known_by_its_content(read: Read, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("one", "two"):
        (tmp_path / "texts" / f"{name}.txt").write_text(name)
    [folder] = read({"text": str(tmp_path / "texts"), "name": "t"})
    [listed] = read({"text": [str(tmp_path / "texts" / "two.txt"), str(tmp_path / "texts" / "one.txt")]})
    assert (folder.label, len(folder.source.texts), folder.fingerprint) == ("t", 2, listed.fingerprint)
    [one] = read({"text": str(tmp_path / "texts" / "one.txt")})
    assert (one.label, one.fingerprint != folder.fingerprint) == ("one", True)
    with pytest.raises(ConfigError, match=r"evaluation\.tasks\[0\]\.text: found no file at .*; expected at least one"):
        read({"text": str(tmp_path / "nowhere" / "*.txt")})
    (tmp_path / "tokens.npy").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"tokens\.npy; expected text: .*\.jsonl "):
        read({"text": str(tmp_path / "tokens.npy")})


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_the_file_of_a_task_may_be_compressed_under_any_name(
    compress: Callable[[bytes], bytes], name: str, tmp_path: Path
) -> None:
    content = compress(b'\xef\xbb\xbf{"context": "a", "continuation": "b"}\n{"context": "", "continuation": "c"}\n')
    (tmp_path / name).write_bytes(content)
    assert list(read_items(str(tmp_path / name))) == [Item("a", "b"), Item("", "c")]
    (tmp_path / name).write_bytes(content[:-5])
    with pytest.raises(DataError, match=rf"{name}: cannot be read: .*; expected an undamaged file"):
        list(read_items(str(tmp_path / name)))


def test_the_texts_of_a_task_may_be_links(read: Read, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "texts").mkdir()
    for name in ("one", "two"):
        (tmp_path / "blobs" / name).write_text(name)
        (tmp_path / "texts" / f"{name}.txt").symlink_to(f"../blobs/{name}")
    (tmp_path / "folder").symlink_to("texts")
    (tmp_path / "texts" / "loop").symlink_to("../texts")
    for text in ("texts", "folder", "folder/*.txt", "folder/**/*.txt"):
        [task] = read({"text": str(tmp_path / text)})
        assert sorted(Path(file.url).name for file in task.source.texts) == ["one.txt", "two.txt"]
    (tmp_path / "texts" / "three.pages").write_text("three")
    with pytest.raises(
        ConfigError, match=r"text: found 1 file \(1 \*\.pages: three\.pages\) of unknown format beside 2"
    ):
        read({"text": str(tmp_path / "texts")})
    (tmp_path / "blobs" / "one").unlink()
    with pytest.raises(ConfigError, match=r"text: found the link .*one\.txt to \.\./blobs/one, where there is nothing"):
        read({"text": str(tmp_path / "folder")})


def test_a_metric_is_known_by_its_name(read: Read) -> None:
    [task] = read({"metric": "arc", "name": "ARC", "family": "qa"})
    assert (task.label, task.source.metric, task.family) == ("ARC", "arc", "qa")
    assert task.fingerprint == read({"metric": "arc"})[0].fingerprint
