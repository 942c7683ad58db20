from collections.abc import Sequence

from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.data.input_file import InputFile
from olmix_core.data.overlap.remarks import MOST, file_remarks, overlap_remarks
from olmix_core.data.overlap.result import LeafOverlap, Overlap, SharedDocuments

LABELS = {"w": "web", "d": "docs", "t": "quiz"}


def leaf(label: str, files: Sequence[tuple[str, str]]) -> Leaf:
    inputs = tuple(InputFile(f"/data/{name}", ".txt text", content=content, size=1) for name, content in files)
    return Leaf(label, label, inputs, 1, (), label, 1.0)


def test_each_leaf_that_holds_protected_text_is_told() -> None:
    found = {
        "w": LeafOverlap(200, 0, {"t": 2, "d": 28}, passages=31, tokens=12_345, exclusion="x"),
        "d": LeafOverlap(40, 3, {"t": 1}, passages=1, tokens=100, exclusion="y"),
    }
    overlap = Overlap(found, {"w": 60, "d": 30, "t": 50}, (SharedDocuments(("d", "w"), 25, False),))
    assert overlap_remarks(overlap, LABELS) == [
        "web holds 28 of 30 passages held out of docs, 2 of 50 passages of task quiz: 31 passages of it (12.3k tokens)"
        " are not trained on",
        "docs holds 1 of 50 passages of task quiz: 1 passage of it (100 tokens) are not trained on",
        "docs and web share 25 different documents, of 37 and 200",
        "docs: 3 of 40 documents are copies of others in it",
    ]
    assert overlap_remarks(overlap.without_exclusions(), LABELS) == overlap_remarks(overlap, LABELS)[2:]
    assert overlap_remarks(Overlap(), {}) == []


def test_estimates_and_long_lists_say_so() -> None:
    labels = {f"{n:02d}": f"leaf{n}" for n in range(10)}
    leaves = {name: LeafOverlap(1000, 0) for name in labels}
    shared = tuple(SharedDocuments(("00", f"{n:02d}"), 10 * n, True) for n in range(1, 10))
    remarks = overlap_remarks(Overlap(leaves, {}, shared), labels)
    assert remarks[0] == "leaf0 and leaf9 share about 90 different documents, of 1,000 and 1,000"
    assert len(remarks) == MOST + 1
    assert remarks[-1] == "4 more pairs of domains share documents"


def test_files_of_the_same_content_are_told() -> None:
    web = leaf("web", [("a.txt", "1"), ("b.txt", "2"), ("copy of a.txt", "1"), ("own.txt", "9")])
    docs = leaf("docs", [("b.txt", "2"), ("c.txt", "3"), ("d.txt", "4"), ("e.txt", "5"), ("f.txt", "6")])
    code = leaf("code", [(f"{n}.txt", content) for n, content in enumerate("3456")])
    assert file_remarks(DomainSet((web, docs, code))) == [
        "code and docs hold files of the same content: 0.txt = c.txt, 1.txt = d.txt, 2.txt = e.txt and 1 more",
        "docs and web hold files of the same content: b.txt",
        "web: files of the same content, of which each counts: a.txt = copy of a.txt",
    ]
    assert file_remarks(DomainSet((code,))) == []
