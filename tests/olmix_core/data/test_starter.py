"""What olmix init writes can be run as it is, whatever the folders are called."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.config import Config
from olmix_core.config.load import load_config
from olmix_core.data.starter import write_starter
from olmix_core.errors import DataError
from olmix_core.planning.preflight import resolve_inputs


def fill(folder: Path, *names: str) -> Path:
    """Files of different text, large enough for the proxy of the starter, in `folder`."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (f"{name} and more " * 30_000)[:300_000]
        lines = (json.dumps({"text": content}) + "\n").encode()
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(lines))
        else:
            path.write_bytes(lines if name.endswith(".jsonl") else content.encode())
    return folder


def files_of(output: Path) -> dict[str, list[str]]:
    """The files of every domain, by its label; looked at as olmix run does, with the tasks of the starter."""
    inputs = resolve_inputs(load_config(output), str(output))
    assert {task.label for task in inputs.tasks} == set(inputs.domains.labels.values())
    return {leaf.label: sorted(Path(file.url).name for file in leaf.files) for leaf in inputs.domains.leaves}


def test_every_folder_and_every_file_is_a_domain(tmp_path: Path) -> None:
    fill(tmp_path / "data", "web/a.txt", "web/deep/b.txt", "code/c.jsonl", "books.txt", "wiki.jsonl.gz")
    fill(tmp_path / "data", "mixed/d.txt", "mixed/e.jsonl")
    (tmp_path / "data" / "notes.md").write_text("no text format")
    fill(tmp_path / "data", ".hidden/f.txt", "pictures/g.png")
    output = tmp_path / "mix.yaml"
    assert write_starter(tmp_path / "data", output).domains == 5
    assert files_of(output) == {
        "web": ["a.txt", "b.txt"],
        "code": ["c.jsonl"],
        "books": ["books.txt"],
        "wiki": ["wiki.jsonl.gz"],
        "mixed": ["d.txt", "e.jsonl"],
    }


def test_what_it_states_are_the_defaults(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a.txt", "b.txt")
    write_starter(tmp_path / "data", tmp_path / "mix.yaml")
    written = load_config(tmp_path / "mix.yaml")
    smallest = yaml.safe_load((tmp_path / "mix.yaml").read_text())
    for section in ("tokenizer", "proxy", "swarm", "proposal", "store"):
        del smallest[section]
    (tmp_path / "smallest.yaml").write_text(yaml.safe_dump(smallest))
    assert load_config(tmp_path / "smallest.yaml") == written


def test_it_is_commented(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a.txt")
    write_starter(tmp_path / "data", tmp_path / "mix.yaml")
    lines = (tmp_path / "mix.yaml").read_text().splitlines()
    assert sum("#" in line for line in lines) > 10
    for field in ("topics", "runs", "target_tokens"):  # shown, but left to the user
        assert any(field in line and line.strip().startswith("#") for line in lines)


def test_it_may_lie_in_the_folder_or_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a.txt", "b/c.txt")
    for output in (tmp_path / "data" / "mix.yaml", tmp_path / "else" / "where" / "mix.yaml"):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_starter(tmp_path / "data", output)
        assert files_of(output) == {"a": ["a.txt"], "b": ["c.txt"]}


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "data", "a.txt", "b.txt")
    monkeypatch.chdir(tmp_path)
    write_starter(Path("data"), Path("mix.yaml"))
    assert "data/a.txt" in (tmp_path / "mix.yaml").read_text()
    assert str(tmp_path) not in (tmp_path / "mix.yaml").read_text()
    assert set(files_of(tmp_path / "mix.yaml")) == {"a", "b"}


# Names

WEIRD = [
    "with  spaces ",
    "q'uo\"tes",
    "Größe 漢字 🙂",
    "{braces} {0}",
    "br[ack]ets",
    "st*r",
    "wh?t",
    "# hash",
    "- dash",
    "~",
    "~home",
    "a: b",
    "a:b",
    "back\\slash",
    "100%",
    "&anchor *alias !tag |",
    "tab\tnew\nline",
    "null",
    "2024",
    "x" * 120,
]


@pytest.mark.parametrize("name", WEIRD)
def test_folders_and_files_may_have_any_name(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "data", f"{name}/a.txt", f"{name}/sub/b.txt", f"file {name}.txt", "other.txt")
    output = tmp_path / "data" / "mix.yaml"  # so that paths in it begin with the names
    assert write_starter(tmp_path / "data", output).domains == 3
    assert sorted(files_of(output).values()) == sorted([["a.txt", "b.txt"], [f"file {name}.txt"], ["other.txt"]])


@pytest.mark.parametrize(
    ("name", "mix"),
    [
        ("My Data", "my-data"),
        ("2024", "2024"),
        ("2024-11-05", "2024-11-05"),
        ("true", "true"),
        ("1e5", "1e5"),
        ("~", "mix"),
        ("漢字", "mix"),
        ("-x-", "x"),
        ("y" * 100, "y" * 60),
        ("z" * 59 + " tail", "z" * 59),
    ],
)
def test_the_mix_is_called_as_the_folder(tmp_path: Path, name: str, mix: str) -> None:
    fill(tmp_path / name, "a.txt")
    write_starter(tmp_path / name, tmp_path / "out.yaml")
    assert load_config(tmp_path / "out.yaml").name == mix


def test_what_shares_a_name_is_not_lost(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a/x.txt", "a.txt", "a.jsonl", "a:b.txt", "a-b.txt", "a\\b/y.txt")
    output = tmp_path / "mix.yaml"
    assert write_starter(tmp_path / "data", output).domains == 6
    found = files_of(output)
    assert len(found) == 6
    assert sorted(file for files in found.values() for file in files) == sorted(
        ["x.txt", "a.txt", "a.jsonl", "a:b.txt", "a-b.txt", "y.txt"]
    )


def test_links_are_domains_as_what_they_lead_to(tmp_path: Path) -> None:
    fill(tmp_path / "blobs", "1.txt", "2.txt", "folder/3.txt", "part/4.txt")
    (tmp_path / "blobs" / "1.txt").rename(tmp_path / "blobs" / "1")
    data = tmp_path / "data"
    (data / "mixed").mkdir(parents=True)
    (data / "file.txt").symlink_to("../blobs/1")  # a name without a suffix behind it
    (data / "folder").symlink_to("../blobs/folder")
    (data / "mixed" / "2.txt").symlink_to("../../blobs/2.txt")
    (data / "mixed" / "part").symlink_to("../../blobs/part")
    output = tmp_path / "mix.yaml"
    assert write_starter(data, output).domains == 3
    assert files_of(output) == {"file": ["file.txt"], "folder": ["3.txt"], "mixed": ["2.txt", "4.txt"]}


def test_links_to_what_is_a_domain_already_are_none(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a/1.txt", "a/deep/2.txt", ".cache/3.txt", "file.txt")
    data = tmp_path / "data"
    for name, target in {
        "itself": "itself", "here": ".", "above": "..", "same": "a", "below": "a/deep", "hidden": ".cache",
    }.items():  # fmt: skip
        (data / name).symlink_to(target)
    output = tmp_path / "mix.yaml"
    assert write_starter(data, output).left_out == (f"{data}: 1 file (1 itself: itself)",)
    assert files_of(output) == {"a": ["1.txt", "2.txt"], "hidden": ["3.txt"], "file": ["file.txt"]}


def test_links_that_lead_nowhere_and_blobs_are_skipped_under_all_names(tmp_path: Path) -> None:
    fill(tmp_path / "data", "one/1.txt", "two/1.txt", "two/2.jsonl")
    for name in ("one", "two"):
        (tmp_path / "data" / name / "gone").symlink_to("nowhere")
    (tmp_path / "data" / "two" / "blob").write_text("?")
    (tmp_path / "data" / "two" / "link").symlink_to("blob")
    output = tmp_path / "mix.yaml"
    write_starter(tmp_path / "data", output)
    assert files_of(output) == {"one": ["1.txt"], "two": ["1.txt", "2.jsonl"]}
    domains = {domain["name"]: domain["skip"] for domain in yaml.safe_load(output.read_text())["domains"]}
    assert domains == {"one": ["gone"], "two": ["blob", "gone", "link"]}


def test_what_is_not_read_is_told_in_the_file_and_on_the_screen(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", "one/a.txt", "one/b.pages", "two/c.txt", "two/d.jsonl", "two/e.pages", "f.pages")
    fill(data, "two/README.md", "LICENSE", "two/tokens.npy")
    (data / "two" / "gone.txt").symlink_to("nowhere")
    output = data / "mix.yaml"
    starter = write_starter(data, output)
    assert starter.left_out == (
        "one: 1 file (1 *.pages: b.pages)",
        "two: 3 files (1 *.npy, 1 *.pages, 1 *.txt: e.pages, gone.txt, tokens.npy)",
        f"{data}: 1 file (1 *.pages: f.pages)",
    )
    assert all(line.partition(": ")[2] in output.read_text() for line in starter.left_out[:2])
    (data / "two" / "gone.txt").unlink()
    assert write_starter(data, output, overwrite=True).domains == 2
    assert files_of(output) == {"one": ["a.txt"], "two": ["c.txt", "d.jsonl"]}


# What is refused


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    fill(tmp_path / "data", "a.txt")
    (tmp_path / "mix.yaml").write_text("mine")
    with pytest.raises(
        DataError, match=r"mix\.yaml: is there already; expected a new file: name another or say --force"
    ):
        write_starter(tmp_path / "data", tmp_path / "mix.yaml")
    assert (tmp_path / "mix.yaml").read_text() == "mine"
    write_starter(tmp_path / "data", tmp_path / "mix.yaml", overwrite=True)
    assert isinstance(load_config(tmp_path / "mix.yaml"), Config)


@pytest.mark.parametrize("name", ["none", "file.txt"])
def test_what_is_no_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("text")
    with pytest.raises(DataError, match=rf"{name}: found no such folder; expected a folder of text"):
        write_starter(tmp_path / name, tmp_path / "mix.yaml")
    assert not (tmp_path / "mix.yaml").exists()


def test_a_folder_without_text_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "data", "picture.png", ".hidden.txt", "empty/picture.png")
    with pytest.raises(DataError, match=r"data: found no text; expected files of .*\.jsonl .*also with \.gz"):
        write_starter(tmp_path / "data", tmp_path / "mix.yaml")
    assert not (tmp_path / "mix.yaml").exists()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and not name.startswith(".") and len(name.encode()) < 200
)


@given(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold))
def test_any_names_give_a_valid_configuration(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in names:
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "a.txt").write_text(name)
    assert write_starter(folder / "data", folder / "mix.yaml").domains == len(names)
    assert len(load_config(folder / "mix.yaml").domains) == len(names)
