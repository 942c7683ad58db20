"""Whatever bytes a file holds, it is read, or refused in words: no other error, no hang, nothing written.

Real files of every kind are changed at random. `make fuzz` does it for ten minutes, with many more examples.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HFTokenizer

from olmix_core.config.load import load_config
from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.domains import read_domains
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import format_at
from olmix_core.data.starter import write_starter
from olmix_core.data.tasks import read_items
from olmix_core.data.tokenizer import Tokenizer, load_tokenizer, train_bpe
from olmix_core.errors import ConfigError, DataError, OlmixError, StoreError
from olmix_core.evidence import ledger
from olmix_core.evidence.rows import SCHEMA, EvidenceRow, from_table
from olmix_core.interop.fit_config import load_fit_config
from olmix_core.interop.import_map import load_map
from olmix_core.interop.swarm_csv import read_swarm
from olmix_core.interop.swarm_import import import_swarm
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.integrity import checksum, load_tensors, save_tensors, seal, unseal
from olmix_core.storage.store import Store
from tests.support.fuzzed_folders import DrawnFolders, folders, reachable
from tests.support.fuzzed_tables import DrawnSwarm, swarms
from tests.support.fuzzed_tokenizers import EOS, TEXTS, DrawnTokenizer, tokenizer_files
from tests.support.fuzzed_tokens import DrawnTokens, token_files
from tests.support.input_files import TEXT_FILES, TOKEN_FILES, token_file

pytestmark = pytest.mark.fuzz
EXAMPLES = int(os.environ.get("OLMIX_FUZZ_EXAMPLES", "60"))
fuzzed = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

Edit = tuple[str, float, bytes]


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    """Changes of a file: (what, where as a share of its length, bytes)."""
    what = st.sampled_from(["flip", "put", "insert", "cut", "drop", "twice"])
    place = st.floats(0, 1, exclude_max=True)
    telling = st.sampled_from(
        [b"\x00" * 8, b"\xff" * 8, b"\n", b'"', b"{", b"[" * 40, b": ", b",,", b"NaN", b"1e999", b"\xed\xa0\x80"]
    )
    return draw(st.lists(st.tuples(what, place, st.one_of(st.binary(max_size=9), telling)), min_size=1, max_size=5))


def changed(content: bytes, changes: list[Edit]) -> bytes:
    for what, share, new in changes:
        at = int(share * len(content))
        if what == "flip" and content:
            content = content[:at] + bytes([content[at] ^ (1 << len(new) % 8)]) + content[at + 1 :]
        elif what == "put":
            content = content[:at] + new + content[at + len(new) :]
        elif what == "insert":
            content = content[:at] + new + content[at:]
        elif what == "cut":
            content = content[:at]
        elif what == "drop":
            content = content[:at] + content[at + 1 + len(new) :]
        elif what == "twice":
            content = content[:at] + content[at // 2 :]
    return content


def tells(error: OlmixError, what: str) -> None:
    assert what in str(error)


@pytest.mark.parametrize("name", TEXT_FILES)
@fuzzed
@given(changes=edits())
def test_text(name: str, changes: list[Edit], tmp_path: Path) -> None:
    whole, path = tmp_path / f"whole-{name}", tmp_path / name
    if not whole.exists():
        TEXT_FILES[name](whole)
    path.write_bytes(changed(whole.read_bytes(), changes))
    try:
        for document in text_documents(InputFile(str(path), "text")):
            document.encode()
    except DataError as error:
        tells(error, str(path))


@pytest.mark.parametrize("kind", TOKEN_FILES)
@fuzzed
@given(changes=edits(), in_index=st.booleans())
def test_tokens(kind: str, changes: list[Edit], in_index: bool, tmp_path: Path) -> None:
    file = token_file(kind, tmp_path)
    path = Path(file.index if in_index and file.index else file.url)
    path.write_bytes(changed(path.read_bytes(), changes))
    try:
        reader = file.reader if file.index else format_at(file.url).name
        opened = InputFile(file.url, reader, dtype=file.dtype, index=file.index)
        for document in token_documents(opened, eos=0, vocab_size=512):
            assert not document.size or int(document.max()) < 512
    except DataError as error:
        tells(error, str(tmp_path))


CONFIG = yaml.safe_dump(
    {
        "name": "first-mix",
        "domains": [
            {"name": "code", "paths": ["code/*.txt"]},
            {"name": "web", "topics": [{"name": "a", "paths": "b"}]},
        ],
        "tokenizer": {"vocab_size": 512},
        "proxy": {"layers": 1, "width": 16, "heads": 1, "tokens": 2048},
        "evaluation": {"tasks": [{"heldout": "code"}, {"file": "x.jsonl", "weight": 2.0}]},
        "proposal": {"kl": 0.05, "bounds": {"code": [0.1, 0.5]}},
        "execution": {"timeout_hours": 3},
    }
).encode()
FIT = yaml.safe_dump(
    {
        "swarm": {"ratios": "ratios.csv", "metrics": "metrics.csv"},
        "priors": {"relative_sizes": {"a": "1/3", "b": 0.5}, "token_counts": {"a": 3, "b": 4}},
        "eval": {"type": "offline", "tasks": {"math": ["gsm"], "code": ["mbpp"]}},
        "constraints": {"enabled": True, "target_tokens": 1e9},
    }
).encode()
MAP = yaml.safe_dump(
    {
        "name": "dclm24",
        "recipe": {"declared": "30M"},
        "tokenizer": {"declared": "dolma2"},
        "domains": {"web": {"paths": "web/*.jsonl"}, "math": "declared", "old": {"mixture": {"web": 0.7, "math": 0.3}}},
        "tasks": "declared",
    }
).encode()
YAML: dict[str, tuple[bytes, Callable[[Path], Any]]] = {
    "config": (CONFIG, load_config),
    "fit": (FIT, load_fit_config),
    "map": (MAP, load_map),
}


@pytest.mark.parametrize("kind", YAML)
@fuzzed
@given(changes=edits())
def test_yaml(kind: str, changes: list[Edit], tmp_path: Path) -> None:
    content, read = YAML[kind]
    path = tmp_path / "a.yaml"
    path.write_bytes(changed(content, changes))
    try:
        read(path)
    except ConfigError as error:
        tells(error, str(path))
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]


RATIOS = b"run,name,index,a,b\nr1,x,0,0.5,0.5\nr2,x,1,0.1,0.9\nr3,y,2,1,0\nr4,y,3,0.25,0.75\n"
METRICS = b"run,name,index,gsm,mbpp\nr1,x,0,1.5,0.5\nr2,x,1,1.25,0.75\nr3,y,2,1.0,2.0\nr4,y,3,2.0,2.0\n"


@fuzzed
@given(changes=edits(), in_metrics=st.booleans())
def test_csv(changes: list[Edit], in_metrics: bool, tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_bytes(FIT)
    (tmp_path / "ratios.csv").write_bytes(RATIOS if in_metrics else changed(RATIOS, changes))
    (tmp_path / "metrics.csv").write_bytes(changed(METRICS, changes) if in_metrics else METRICS)
    try:
        found = read_swarm(tmp_path / "fit.yaml", load_fit_config(tmp_path / "fit.yaml"), complete_only=False)
    except OlmixError:
        return
    assert (abs(found.evidence.X.sum(axis=1) - 1) < 1e-6).all()


ITEMS = b'{"context": "2 + 2 =", "continuation": " 4"}\n{"context": "a", "continuation": "b"}\n'


@fuzzed
@given(changes=edits())
def test_tasks(changes: list[Edit], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(changed(ITEMS, changes))
    try:
        for item in read_items(str(tmp_path / "a.jsonl")):
            (item.context + item.continuation).encode()
    except DataError as error:
        tells(error, "a.jsonl")


TOKENIZER = train_bpe(["a few words of text, and more of them " * 20], 300).to_json()["definition"]


@fuzzed
@given(changes=edits())
def test_tokenizers(changes: list[Edit]) -> None:
    text = changed(TOKENIZER.encode(), changes).decode("utf-8", "replace")
    try:
        tokenizer = load_tokenizer(text, "tokenizer.json")
    except DataError as error:
        tells(error, "tokenizer.json")
    else:
        tokenizer.encode(["some text"])


@fuzzed
@given(drawn=tokenizer_files())
def test_tokenizers_of_other_programs(drawn: DrawnTokenizer) -> None:
    """Tokens are those of the same tokenizer without what adds and drops tokens."""
    try:
        tokenizer = load_tokenizer(drawn.definition, "tokenizer.json", eos=EOS)
        encoded = tokenizer.encode(TEXTS)
    except DataError as error:
        tells(error, "tokenizer.json")
        assert not drawn.is_sound
        return
    assert max(int(ids.max()) for ids in encoded if ids.size) < tokenizer.vocab_size
    assert tokenizer.eos < tokenizer.vocab_size == tokenizer.token_bytes.size
    again = Tokenizer.from_json(tokenizer.to_json())
    assert [ids.tolist() for ids in again.encode(TEXTS)] == [ids.tolist() for ids in encoded]
    assert again.fingerprint == tokenizer.fingerprint
    if not drawn.is_sound:
        return
    bare = HFTokenizer.from_str(drawn.bare)
    bare.encode_special_tokens = True
    for text, ids in zip(TEXTS, encoded, strict=True):
        assert ids.tolist() == bare.encode(text, add_special_tokens=False).ids
        assert not drawn.measures_bytes or tokenizer.token_bytes[ids].sum() == len(text.encode())


@fuzzed
@given(drawn=token_files())
def test_token_files_of_other_programs(drawn: DrawnTokens) -> None:
    """Documents are those that were written, or the file is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = drawn.write(Path(folder))
        index = str(path.with_suffix(".idx")) if drawn.index is not None else None
        reader = "tokens-megatron" if index else format_at(str(path)).name
        file = InputFile(str(path), reader, dtype=drawn.dtype if reader == "tokens-raw" else None, index=index)
        try:
            found = [ids.tolist() for ids in token_documents(file, eos=drawn.eos, vocab_size=drawn.vocab_size)]
        except DataError as error:
            tells(error, folder)
            assert not drawn.is_sound
        else:
            assert found == drawn.documents


@fuzzed
@given(drawn=swarms(), complete_only=st.booleans())
def test_swarms_of_other_programs(drawn: DrawnSwarm, complete_only: bool) -> None:
    """Mixtures and BPB are those that were written, or the files are refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = dict.fromkeys(next(iter(drawn.mixtures.values())), 1.0)
        swarm = {"ratios": "ratios.csv", "metrics": "metrics.csv"}
        (folder / "fit.yaml").write_text(yaml.safe_dump({"swarm": swarm, "priors": {"relative_sizes": sizes}}))
        (folder / "map.yaml").write_text(
            "{name: s, recipe: {declared: r}, tokenizer: {declared: t}, domains: declared, tasks: declared}"
        )
        (folder / "ratios.csv").write_bytes(drawn.ratios)
        (folder / "metrics.csv").write_bytes(drawn.metrics)
        try:
            config = load_fit_config(folder / "fit.yaml")
            evidence = read_swarm(folder / "fit.yaml", config, complete_only=complete_only).evidence
            rows = import_swarm(folder / "ratios.csv", folder / "metrics.csv", folder / "map.yaml").rows
        except (ConfigError, DataError):
            assert drawn.wrong is not None
            return
    assert drawn.wrong is None
    for run, mixture, bpb in zip(evidence.runs, evidence.X, evidence.Y, strict=True):
        assert dict(zip(evidence.leaves, mixture, strict=True)) == pytest.approx(drawn.mixtures[run], abs=1e-12)
        measured = {task: value for task, value in zip(evidence.tasks, bpb, strict=True) if not np.isnan(value)}
        assert measured == pytest.approx(drawn.bpb[run], rel=1e-12)
    assert len(rows) == len(drawn.bpb)
    imported = Counter(
        tuple(sorted((row.labels[leaf], round(share, 9)) for leaf, share in row.mixture.items())) for row in rows
    )
    assert imported == Counter(
        tuple(sorted((leaf, round(share, 9)) for leaf, share in mixture.items())) for mixture in drawn.mixtures.values()
    )


@fuzzed
@given(drawn=folders(), pattern=st.sampled_from(["data", "data/", "data/**", "data/../data"]))
def test_folders_with_links(drawn: DrawnFolders, pattern: str) -> None:
    """Every file that can be reached is read once, or what cannot be read is named."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        drawn.write(root)
        expected = reachable(root / "data")
        is_plain = not (expected.broken or expected.has_unknown) and bool(expected.texts)
        domains = [{"name": "all", "paths": [pattern]}]
        tasks = {"tasks": [{"heldout": "all"}]}
        config = root / "mix.yaml"
        config.write_text(yaml.safe_dump({"name": "x", "domains": domains, "evaluation": tasks}))
        try:
            texts = texts_of_domains(config)
        except ConfigError as error:
            tells(error, str(config))
            assert not is_plain
        else:
            assert texts == Counter(expected.texts)
            assert is_plain
        config.unlink()
        try:
            write_starter(root / "data", config)
            texts = texts_of_domains(config)
        except (ConfigError, DataError) as error:
            tells(error, name if expected.texts == set() else "to be that of")
        else:
            assert set(texts) == expected.texts


def texts_of_domains(config: Path) -> Counter[str]:
    with closing(ContentIndex()) as index:
        leaves = read_domains(load_config(config), str(config), index).leaves
    return Counter(text for leaf in leaves for file in leaf.files for text in text_documents(file))


ROWS = [
    EvidenceRow(
        proxy=f"p{number}",
        mixture={"a": 0.25 * number, "b": 1 - 0.25 * number},
        bpb={"t": 1.0 + number},
        recipe={"width": 16},
        tokenizer="t",
        swarm="s",
        labels={"a": "web"},
    )
    for number in range(1, 4)
]


@fuzzed
@given(changes=edits())
def test_the_ledger(changes: list[Edit], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Even where somebody gave the changed file the name that its content asks for."""
    store = Store(str(tmp_path_factory.mktemp("ledger")))
    name = ledger.append(store, ROWS)
    path = Path(store.root) / "evidence" / f"{name}.parquet"
    content = changed(path.read_bytes(), changes)
    path.unlink()
    path.with_name(f"{'0' * 64}-{checksum(content)[:16]}.parquet").write_bytes(content)
    try:
        table = ledger.read(store)
    except StoreError:
        return
    assert table.schema.names == SCHEMA.names
    try:
        from_table(table)
    except (ValueError, TypeError):  # pragma: no cover - a forged row, which no checksum guards against
        return


@fuzzed
@given(changes=edits())
def test_sealed_documents(changes: list[Edit]) -> None:
    document = {"a": [1, 2.5], "b": {"c": "é"}}
    try:
        found = unseal(changed(seal(document), changes), "a.json")
    except OlmixError:
        return
    assert found == document


@fuzzed
@given(changes=edits())
def test_sealed_tensors(changes: list[Edit], tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors({"w": np.arange(12.0).reshape(3, 4), "n": np.array(3)}, path)
    path.write_bytes(changed(path.read_bytes(), changes))
    try:
        found = load_tensors(path, "a")
    except OlmixError:
        return
    assert (found["w"] == np.arange(12.0).reshape(3, 4)).all()
