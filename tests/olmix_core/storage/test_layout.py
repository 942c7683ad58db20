import ast
import re
from pathlib import Path

import pytest

from olmix_core.storage import layout
from olmix_core.storage.layout import KINDS, PathKind, keyed_path, kind_of

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef" * 4
EXAMPLES = {
    "key": KEY,
    "step": "next_round",
    "mix": "my mix",
    "version": "v0012",
    "digests": f"{KEY}-{KEY[:16]}",
    "corpus_file": layout.TOKENS_FILE,
    "output_file": layout.SURROGATE_FILE,
    "version_file": layout.REPORT_FILE,
    "probe": "lock",
    "any_folder": "cache/fit/",
    "any_name": "x7",
    "any_path": "evidence/a.parquet",
}
KEYED = (
    "cache/{step}",
    "cache/jobs",
    "cache/tokens",
    "cache/exclusions",
    "cache/surrogates",
    "cache/targets",
    "cache/proposals",
    "proxies",
    "tokenizers",
)

FOLDERS = ("cache", "proxies", "tokenizers", "evidence", "mixes", "watched", "damaged")
FILES = (
    "mix.json", "mix.csv", "surrogate.json", "diagnostics.csv", "trade_offs.csv", "runs.parquet", "plan.json",
    "report.html", "latest.json", "run.json", "model.safetensors", "checkpoint.safetensors", "tokens.bin",
    "passages.safetensors",
)  # fmt: skip
SPELT = re.compile(rf"(?:^|/|`)(?:{'|'.join(FOLDERS)})/|(?:^|/)(?:{'|'.join(map(re.escape, FILES))})$")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.template)
def test_a_kind_matches_the_paths_it_builds_and_no_other_does(kind: PathKind) -> None:
    parts = {part: EXAMPLES[part] for part in kind.parts}
    path = kind(*parts.values())
    assert kind.match(path) == parts
    assert [other for other in KINDS if other.match(path) is not None] == [kind]
    assert kind_of(path) is kind
    assert (keyed_path.match(path) is not None) == kind.template.startswith(tuple(f"{folder}/" for folder in KEYED))


@pytest.mark.parametrize(
    "path", ["notes.txt", "cache/fit/short.json", f"cache/fit/{KEY}.json.bak", "mixes/m/v1", "mixes/a/b/v1/mix.json"]
)
def test_other_files_are_of_no_kind(path: str) -> None:
    assert kind_of(path) is None


def test_every_kind_is_listed() -> None:
    declared = {kind for kind in vars(layout).values() if isinstance(kind, PathKind)}
    assert declared - {keyed_path} == set(KINDS)


def test_a_wrong_number_of_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        layout.version_path("m", "v0001")


def test_the_functions_agree_with_the_kinds() -> None:
    assert layout.result_path(layout.result_key("fit", KEY)) == layout.step_result_path("fit", KEY)
    assert layout.payload_path("fit", KEY).startswith(f"{layout.results_folder('fit')}/")
    assert layout.corpus_path(KEY, layout.TOKENS_FILE) == f"{layout.corpus_folder(KEY)}/{layout.TOKENS_FILE}"
    assert layout.proxy_run_path(KEY).startswith(f"{layout.proxy_folder(KEY)}/")
    assert layout.version_path("m", "v0001", "mix.json") == f"{layout.version_folder('m', 'v0001')}/mix.json"
    assert layout.latest_path("m").startswith(f"{layout.mix_folder('m')}/")


def test_listings_are_read_by_name() -> None:
    assert layout.published_versions(["v0010", "latest.json", "v0009", "v12345", "vx"]) == ["v0009", "v0010", "v12345"]
    assert layout.ledger_files(["a.parquet", ".new-b.parquet", "sets", "c.txt"]) == ["a"]


@pytest.mark.parametrize("package", ["olmix_core", "tasks", "flows"])
def test_no_other_module_spells_a_path_of_the_store(package: str) -> None:
    spelt = [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for file in sorted((ROOT / package).rglob("*.py"))
        if file != Path(layout.__file__)
        for line, text in _texts(ast.parse(file.read_text()))
        if SPELT.search(text)
    ]
    assert not spelt


def _texts(tree: ast.Module) -> list[tuple[int, str]]:
    """The texts of a module, docstrings left out."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
