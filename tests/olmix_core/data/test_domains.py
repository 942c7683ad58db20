"""A leaf is its content: names, order and paths are labels."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from olmix_core.config.config import Config
from olmix_core.data.domains import DomainSet, read_domains
from olmix_core.data.tokenizer import train_bpe
from olmix_core.errors import ConfigError
from olmix_core.storage.content_index import ContentIndex
from tests.support.properties import examples

Read = Callable[..., DomainSet]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a tree of domains whose paths lie in tmp_path."""

    def place(node: dict[str, Any]) -> dict[str, Any]:
        node = dict(node)
        if "paths" in node:
            paths = [node["paths"]] if isinstance(node["paths"], str) else node["paths"]
            node["paths"] = [path if "://" in path else str(tmp_path / path) for path in paths]
        for kind in {"topics", "quality"} & node.keys():
            node[kind] = [place(child) for child in node[kind]]
        return node

    def make(*domains: dict[str, Any], **fields: Any) -> DomainSet:
        record = {
            "name": "test",
            "domains": [place(domain) for domain in domains],
            "evaluation": {"tasks": [{"heldout": "a"}]},
            **fields,
        }
        index = ContentIndex(tmp_path / ".index")
        try:
            return read_domains(Config.model_validate(record), "mix.yaml", index)
        finally:
            index.close()

    for name in ("a", "b", "c", "d", "e"):
        (tmp_path / f"{name}.txt").write_text(f"the text of {name}")
    return make


def by_label(domains: DomainSet) -> dict[str, str]:
    return {leaf.label: leaf.fingerprint for leaf in domains.leaves}


def names(domains: DomainSet, label: str) -> list[str]:
    [found] = domains.under(label)
    return sorted(Path(file.url).name for file in found.files)


def source(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **({} if {"topics", "quality"} & fields.keys() else {"paths": f"{name}.txt"}), **fields}


TREE = (
    source("web", topics=[source("a"), source("q", quality=[source("b"), source("c")])]),
    source("code", quality=[source("d")]),
    source("e"),
)


def test_leaves_are_called_by_the_way_to_them(read: Read) -> None:
    assert set(by_label(read(*TREE))) == {"web:a", "web:q:b", "web:q:c", "code:d", "e"}


def test_leaves_come_in_the_order_of_their_content(read: Read) -> None:
    domains = read(*TREE)
    assert list(domains.fingerprints) == sorted(by_label(domains).values())
    assert list(domains.labels) == list(domains.fingerprints)
    assert {label: leaf for leaf, label in domains.labels.items()} == by_label(domains)


def test_renamed_and_reordered_domains_are_the_same(read: Read, tmp_path: Path) -> None:
    pinned = [
        source("high", paths="a.txt", weight=0.9),
        source("low", paths="b.txt", weight=0.1),
    ]
    before = read(source("web", quality=pinned), source("c"), source("d"))
    (tmp_path / "moved").mkdir()
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.txt").rename(tmp_path / "moved" / f"renamed-{name}.txt")
    renamed = [
        source("worst", paths="moved/renamed-b.txt", weight=0.1),
        source("best", paths="moved/renamed-a.txt", weight=0.9),
    ]
    after = read(
        source("x", paths="moved/renamed-d.txt"),
        source("crawl", topics=renamed),
        source("y", paths="moved/renamed-c.txt"),
    )
    assert after.fingerprints == before.fingerprints
    assert after.free_columns == before.free_columns
    assert set(after.labels.values()).isdisjoint(before.labels.values())


def test_the_files_of_a_leaf_are_read_in_the_order_of_their_content(read: Read, tmp_path: Path) -> None:
    def contents(domains: DomainSet) -> list[str]:
        return [Path(file.url.removeprefix("file://")).read_text() for file in domains.leaves[0].files]

    before = contents(read(source("s", paths=["a.txt", "b.txt", "c.txt", "d.txt"])))
    for old, new in (("a", "4"), ("b", "3"), ("c", "2"), ("d", "1")):
        (tmp_path / f"{old}.txt").rename(tmp_path / f"{new}.txt")
    assert contents(read(source("s", paths="[1-4].txt"))) == before


def test_another_content_is_another_leaf(read: Read, tmp_path: Path) -> None:
    before = by_label(read(*TREE))
    (tmp_path / "a.txt").write_text("the text of a, revised")
    after = by_label(read(*TREE))
    assert {label for label in before if before[label] != after[label]} == {"web:a"}


def test_another_field_of_the_same_file_is_another_leaf(read: Read, tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_text('{"text": "a", "body": "b"}\n')
    domains = read(source("a", paths="two.jsonl"), source("b", paths="two.jsonl", text_field="body"))
    assert len(set(domains.fingerprints)) == 2


def test_a_content_is_in_one_leaf(read: Read, tmp_path: Path) -> None:
    (tmp_path / "copy.txt").write_text("the text of a")
    with pytest.raises(ConfigError, match=r"domains\[1\]\.topics\[0\]\.paths: found the content of 'x:y' to be"):
        read(source("a"), source("x", topics=[source("y", paths="copy.txt")]))


def test_under(read: Read) -> None:
    domains = read(*TREE)

    def labels(node: str) -> set[str]:
        return {leaf.label for leaf in domains.under(node)}

    assert labels("web") == {"web:a", "web:q:b", "web:q:c"}
    assert labels("web:q") == {"web:q:b", "web:q:c"}
    assert labels("e") == {"e"}
    assert labels("we") == labels("web:") == labels("") == labels("a") == set()


# Units


def test_free_leaves_are_units_of_their_own(read: Read) -> None:
    domains = read(*TREE)
    assert domains.free_columns == [{leaf: 1.0} for leaf in domains.fingerprints]


def test_pinned_leaves_are_one_unit(read: Read) -> None:
    quality = [source("high", paths="c.txt", weight=0.9), source("low", paths="d.txt", weight=0.1)]
    topics = [source("a", weight=0.25), source("b", weight=0.25), source("q", quality=quality, weight=0.5)]
    domains = read(source("web", topics=topics), source("e"))
    leaf = by_label(domains)
    pinned = {
        leaf["web:a"]: 0.25,
        leaf["web:b"]: 0.25,
        leaf["web:q:high"]: 0.45,
        leaf["web:q:low"]: 0.05,
    }
    alone, together = sorted(domains.free_columns, key=len)
    assert alone == {leaf["e"]: 1.0}
    assert together == pytest.approx(pinned)


def test_quality_pinned_below_free_topics_is_a_unit_a_topic(read: Read) -> None:
    def quality(high: str, low: str) -> list[dict[str, Any]]:
        return [source("high", paths=f"{high}.txt", weight=0.75), source("low", paths=f"{low}.txt", weight=0.25)]

    topics = [source("x", quality=quality("a", "b")), source("y", quality=quality("c", "d"))]
    domains = read(source("web", topics=topics), source("e"))
    leaf = by_label(domains)
    expected = [
        {leaf["web:x:high"]: 0.75, leaf["web:x:low"]: 0.25},
        {leaf["web:y:high"]: 0.75, leaf["web:y:low"]: 0.25},
        {leaf["e"]: 1.0},
    ]
    assert sorted(map(sorted, map(dict.items, domains.free_columns))) == sorted(map(sorted, map(dict.items, expected)))


def pinned_trees(depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Trees in which every level is pinned."""
    leaves = st.just({"paths": "x.txt"})
    if not depth:
        return leaves

    def node(children: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        total = sum(part for part, _ in children)
        topics = [{"name": f"n{i}", "weight": p / total, **child} for i, (p, child) in enumerate(children)]
        return {"topics": topics}

    return leaves | st.lists(st.tuples(st.integers(1, 50), pinned_trees(depth - 1)), min_size=1, max_size=4).map(node)


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pinned_trees(), min_size=1, max_size=3))
def test_the_shares_of_a_unit_are_products_that_add_up(read: Read, tmp_path: Path, trees: list[dict[str, Any]]) -> None:
    shares: dict[str, float] = {}

    def filled(node: dict[str, Any], label: str, share: float) -> dict[str, Any]:
        """The node with files of its own; notes the share of each leaf."""
        share *= node.get("weight", 1.0)
        if "topics" in node:
            return node | {"topics": [filled(child, f"{label}:{child['name']}", share) for child in node["topics"]]}
        shares[label] = share
        (tmp_path / f"{len(shares)}.txt").write_text(str(len(shares)))
        return node | {"paths": f"{len(shares)}.txt"}

    nodes = [filled({"name": f"s{i}", **tree}, f"s{i}", 1.0) for i, tree in enumerate(trees)]
    domains = read(*nodes)
    assert len(domains.free_columns) == len(trees)
    for unit in domains.free_columns:
        assert unit == pytest.approx({leaf: shares[domains.labels[leaf]] for leaf in unit})
        assert sum(unit.values()) == pytest.approx(1.0)
        assert len({domains.labels[leaf].split(":")[0] for leaf in unit}) == 1


# Files


def test_globs_folders_and_lists_of_them(read: Read, tmp_path: Path) -> None:
    for name in ("x/1.txt", "x/deep/er/2.txt", "x/3.jsonl", "y/4.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": name}))
    assert names(read(source("s", paths="x/*.txt")), "s") == ["1.txt"]
    assert names(read(source("s", paths="x/**/*.txt")), "s") == ["1.txt", "2.txt"]
    assert names(read(source("s", paths="x")), "s") == ["1.txt", "2.txt", "3.jsonl"]
    assert names(read(source("s", paths="x/")), "s") == ["1.txt", "2.txt", "3.jsonl"]
    assert names(read(source("s", paths=["y", "x/**/*.txt", "y/4.txt"])), "s") == ["1.txt", "2.txt", "4.txt"]
    assert names(read(source("s", paths=f"file://{tmp_path}/y/*.txt")), "s") == ["4.txt"]


def test_what_is_hidden_or_of_no_known_format_is_left_out_of_a_folder(read: Read, tmp_path: Path) -> None:
    for name in ("x/1.txt", "x/.2.txt", "x/.git/3.txt", "x/LICENSE", "x/y/.z/4.txt", ".x/5.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert names(read(source("s", paths="x")), "s") == ["1.txt"]
    assert names(read(source("s", paths="x/**")), "s") == ["1.txt"]
    assert names(read(source("s", paths=".x/*.txt")), "s") == ["5.txt"]
    assert names(read(source("s", paths=".x")), "s") == ["5.txt"]
    assert names(read(source("s", paths="x/.2.txt")), "s") == [".2.txt"]
    with pytest.raises(ConfigError, match=r"unknown format: .*LICENSE; expected one of .*\.jsonl"):
        read(source("s", paths="x/LICENSE"))


def counted(domains: DomainSet) -> int:
    """Words of all files that are read."""
    files = [Path(file.url.removeprefix("file://")) for leaf in domains.leaves for file in leaf.files]
    return sum(len(path.read_text().split()) for path in files)


def linked_folder(tmp_path: Path) -> None:
    """A folder of which two thirds are links: to files, and to a folder."""
    for name, text in (("blobs/1", "a b"), ("blobs/2", "c d e"), ("more/4.txt", "f"), ("mixed/own.txt", "g h i j")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "mixed" / "1.txt").symlink_to("../blobs/1")
    (tmp_path / "mixed" / "2.txt").symlink_to(tmp_path / "blobs" / "2")
    (tmp_path / "mixed" / "more").symlink_to("../more")
    (tmp_path / "mixed" / "more-again").symlink_to("../more")
    (tmp_path / "more" / "loop").symlink_to("../more")
    (tmp_path / "mixed" / "latest.txt").symlink_to("own.txt")


@pytest.mark.parametrize("paths", ["mixed", "mixed/**", "mixed/**/*.txt", ["mixed/*.txt", "mixed/*/*.txt"]])
def test_links_are_read_and_each_file_once(read: Read, tmp_path: Path, paths: str | list[str]) -> None:
    linked_folder(tmp_path)
    domains = read(source("s", paths=paths))
    assert counted(domains) == 10
    # The same files without links are the same leaf.
    for name in ("blobs/1", "blobs/2", "more/4.txt", "mixed/own.txt"):
        (tmp_path / "plain" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / name).with_suffix(".txt").write_bytes((tmp_path / name).read_bytes())
    assert read(source("s", paths="plain")).fingerprints == domains.fingerprints


def test_a_pipe_that_is_named_like_a_file_is_an_error(read: Read, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.txt").write_text("text of some length")
    os.mkfifo(tmp_path / "x/control")  # no text by its name
    assert names(read(source("s", paths="x")), "s") == ["a.txt"]
    os.mkfifo(tmp_path / "x/b.jsonl")
    with pytest.raises(ConfigError, match=r"found .*x/b\.jsonl, which is no regular file; expected files, or"):
        read(source("s", paths="x"))


def test_a_link_in_a_folder_that_leads_nowhere_is_an_error(read: Read, tmp_path: Path) -> None:
    linked_folder(tmp_path)
    (tmp_path / "blobs" / "1").unlink()
    for paths in ("mixed", "mixed/*.txt", "mixed/**/1.txt", "mixed/1.txt"):
        with pytest.raises(
            ConfigError, match=r"paths: found the link .*/mixed/1\.txt to \.\./blobs/1, where there is"
        ) as raised:
            read(source("s", paths=paths))
        assert "git annex get" in str(raised.value)
    assert counted(read(source("s", paths="mixed", skip="1.txt"))) == 8


def test_a_file_of_unknown_format_beside_others_is_named_with_what_skips_it(read: Read, tmp_path: Path) -> None:
    (tmp_path / "x" / "deep").mkdir(parents=True)
    for name in ("a.txt", "b.pages", "c.pages", "deep/d.txt.lz4"):
        (tmp_path / "x" / name).write_text("text of some length")
    for paths in ("x", "x/**", "x/*"):
        with pytest.raises(
            ConfigError, match=r"domains\[0\]\.paths: found [23] files \(.*b\.pages, c\.pages.*\) of unknown"
        ) as raised:
            read(source("s", paths=paths))
        assert "beside 1 that can be read" in str(raised.value)
        assert '"*.pages"]' in str(raised.value)
    assert names(read(source("s", paths="x/*.txt")), "s") == ["a.txt"]
    domains = read(source("s", paths="x", skip=["*.pages", "*.lz4"]))
    assert names(domains, "s") == ["a.txt"]
    assert domains.leaves[0].skipped == "3 files (1 *.lz4, 2 *.pages: b.pages, c.pages, d.txt.lz4)"
    # What is skipped is no part of the content.
    assert domains.fingerprints == read(source("s", paths="x/a.txt")).fingerprints
    assert read(source("s", paths="x/a.txt")).leaves[0].skipped == ""
    with pytest.raises(ConfigError, match=r"found nothing to read at .*/x: 4 files \(.*\) skipped or passed over"):
        read(source("s", paths=["x", "a.txt"], skip=["*"]))
    (tmp_path / "licence").mkdir()
    (tmp_path / "licence" / "LICENSE").write_text("text")
    with pytest.raises(ConfigError, match=r"nothing to read at .*/licence: 1 file \(1 LICENSE: LICENSE\) skipped or"):
        read(source("s", paths=["a.txt", "licence"]))


def test_skip_holds_for_all_nodes_below(read: Read, tmp_path: Path) -> None:
    for name in ("x/a.txt", "x/b.pdf", "y/c.txt", "y/d.doc", "y/e.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    tree = source("web", skip="*.pdf", topics=[source("x", paths="x"), source("y", paths="y", skip="*.doc")])
    assert {leaf.label: len(leaf.files) for leaf in read(tree).leaves} == {"web:x": 1, "web:y": 1}


def test_a_missing_path_is_answered_with_files_that_begin_with_it(read: Read, tmp_path: Path) -> None:
    for name in ("web-1.txt", "web-2.txt"):
        (tmp_path / name).write_text(name)
    with pytest.raises(
        ConfigError, match=r"no file at .*/web; expected at least one file: such as .*web-1\.txt, .*web-2"
    ):
        read(source("s", paths="web"))
    with pytest.raises(ConfigError, match=r"no file at .*/web-1; expected at least one file: such as .*web-1\.txt"):
        read(source("s", paths="web-1"))


@pytest.mark.parametrize("folder", ["with space", "we[i]rd", "a*b", "wh?t", "日本語", "q'uo\"te", "ha#sh", "100%25"])
def test_the_names_of_files_and_folders_are_free(read: Read, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a [1].txt").write_text("text")
    assert read(source("s", paths=folder)).leaves[0].size == 4
    assert read(source("s", paths=f"{folder}/a [1].txt")).leaves[0].size == 4


@pytest.mark.parametrize("path", ["none", "none/*.txt", "a.txt/x", "s4://bucket/x", "two::colons"])
def test_a_path_without_a_file_is_named(read: Read, path: str) -> None:
    with pytest.raises(ConfigError, match=r"mix\.yaml: domains\[1\]\.paths: found .*" + path.split("*")[0]):
        read(source("a"), source("x", paths=["b.txt", path]))


def test_a_link_that_leads_nowhere_is_named(read: Read, tmp_path: Path) -> None:
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    with pytest.raises(ConfigError, match=r"domains\[0\]\.paths: found the link .*loop\.txt to loop\.txt, where"):
        read(source("a", paths="loop.txt"))


def test_a_megatron_pair_is_one_file(read: Read, tmp_path: Path) -> None:
    tokenizer = train_bpe(["some text to learn from"], 300)
    (tmp_path / "tokenizer.json").write_text(str(tokenizer.to_json()["definition"]))
    (tmp_path / "m").mkdir()
    np.arange(5, dtype="<u2").tofile(tmp_path / "m" / "a.bin")
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 1, 2)
    (tmp_path / "m" / "a.idx").write_bytes(head + struct.pack("<iqqq", 5, 0, 0, 1))
    fields = {"tokenizer": {"path": str(tmp_path / "tokenizer.json")}}
    [leaf] = read(source("s", paths="m"), **fields).leaves
    [file] = leaf.files
    assert (file.reader, Path(str(file.index)).name) == ("tokens-megatron", "a.idx")
    assert leaf.size == sum(path.stat().st_size for path in (tmp_path / "m").iterdir())
    # The index says where documents end: it belongs to the content.
    (tmp_path / "m" / "a.idx").write_bytes(head + struct.pack("<iqqq", 5, 0, 0, 1) + b"more")
    assert read(source("s", paths="m"), **fields).fingerprints != (leaf.fingerprint,)
    # Without it the same bytes are raw tokens, which is another text.
    (tmp_path / "m" / "a.idx").unlink()
    [raw] = read(source("s", paths="m"), **fields).leaves
    assert raw.files[0].reader == "tokens-raw"
    assert raw.fingerprint != leaf.fingerprint


@pytest.mark.parametrize("prefix", ["m/a_text_document", "m/*_text_document", "m/[a]_text_document"])
def test_the_prefix_of_a_megatron_pair_is_the_pair(read: Read, tmp_path: Path, prefix: str) -> None:
    tokenizer = train_bpe(["some text to learn from"], 300)
    (tmp_path / "tokenizer.json").write_text(str(tokenizer.to_json()["definition"]))
    (tmp_path / "m").mkdir()
    np.arange(5, dtype="<u2").tofile(tmp_path / "m" / "a_text_document.bin")
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 1, 2)
    (tmp_path / "m" / "a_text_document.idx").write_bytes(head + struct.pack("<iqqq", 5, 0, 0, 1))
    fields = {"tokenizer": {"path": str(tmp_path / "tokenizer.json")}}
    whole = read(source("s", paths="m/a_text_document.bin"), **fields)
    assert whole.leaves[0].files[0].reader == "tokens-megatron"
    assert read(source("s", paths=prefix), **fields).leaves == whole.leaves
    with pytest.raises(ConfigError, match=r"no file at .*/m/a; expected .*such as .*a_text_document\.bin"):
        read(source("s", paths="m/a"), **fields)
    # Without its index the .bin may be any kind of tokens: named, not taken.
    (tmp_path / "m" / "a_text_document.idx").unlink()
    with pytest.raises(ConfigError, match=r"no file at .*_text_document; expected at least one file"):
        read(source("s", paths=prefix), **fields)


def test_the_type_of_raw_tokens_is_part_of_the_content(read: Read, tmp_path: Path) -> None:
    tokenizer = train_bpe(["some text to learn from"], 300)
    (tmp_path / "tokenizer.json").write_text(str(tokenizer.to_json()["definition"]))
    np.arange(8, dtype="<u4").tofile(tmp_path / "x.npy")
    fields = {"tokenizer": {"path": str(tmp_path / "tokenizer.json")}}
    found = {
        read(source("s", paths="x.npy", **dtype), **fields).fingerprints
        for dtype in ({}, {"dtype": "uint16"}, {"dtype": "uint32"})
    }
    assert len(found) == 3
