import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from olmix_core.config.load import load_config
from olmix_core.data.corpus import LeafStatistics
from olmix_core.errors import ConfigError, DataError
from olmix_core.planning.preflight import ResolvedInputs, check_statistics, resolve_inputs
from tests.support.input_files import archive


def resolve(folder: Path, **sections: Any) -> ResolvedInputs:
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"some text of {name} " * 2000)
    config = {
        "name": "mix",
        "store": str(folder / "store"),
        "domains": [{"name": name, "paths": str(folder / f"{name}.txt")} for name in ("a", "b")],
        "evaluation": {"tasks": [{"heldout": "a"}]},
        "tokenizer": {"kind": "bytes"},
        "proxy": {"recipe": "tiny", "tokens": 4096},
        **sections,
    }
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(config))
    return resolve_inputs(load_config(path), str(path))


def test_inputs_are_found_and_nothing_is_written(tmp_path: Path) -> None:
    inputs = resolve(tmp_path)
    assert sorted(inputs.domains.labels.values()) == ["a", "b"]
    assert [task.label for task in inputs.tasks] == ["a"]
    assert (inputs.vocab_size, inputs.tokenizer_content, inputs.recipe.tokens) == (257, None, 4096)
    assert not (tmp_path / "store").exists()


def test_proxies_longer_than_plain_files_allow_are_rejected_before_counting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"proxy\.tokens: found 100,000,000, but only 60,000 bytes of data"):
        resolve(tmp_path, proxy={"recipe": "tiny", "tokens": 100_000_000})


@pytest.mark.parametrize("name", ["big.txt", "big.jsonl", "big.tar"])
def test_files_that_unpack_to_more_than_their_size_do_not_bound_the_tokens(name: str, tmp_path: Path) -> None:
    text = b"a word " * 400_000
    lines = {"big.jsonl": json.dumps({"text": text.decode()}).encode() + b"\n"}.get(name, text)
    content = archive({"x.txt.gz": gzip.compress(text)}) if name == "big.tar" else gzip.compress(lines)
    (tmp_path / name).write_bytes(content)
    domains = [{"name": "a", "paths": str(tmp_path / "a.txt")}, {"name": "big", "paths": str(tmp_path / name)}]
    inputs = resolve(tmp_path, domains=domains, proxy={"recipe": "tiny", "tokens": 1_000_000})
    assert inputs.recipe.tokens == 1_000_000


def test_unknown_families_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"surrogate\.family: found 'cubic'; expected one of auto, diminishing_returns",
    ):
        resolve(tmp_path, surrogate={"family": "cubic"})


def test_bounds_of_unknown_domains_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"swarm\.bounds\.c: found a domain that is not there; expected one of a, b"):
        resolve(tmp_path, swarm={"bounds": {"c": [0.0, 0.5]}})


def test_a_leaf_shorter_than_a_sequence_is_rejected_once_counted(tmp_path: Path) -> None:
    inputs = resolve(tmp_path)
    config = load_config(tmp_path / "mix.yaml")
    enough, little = (LeafStatistics(1, tokens, tokens, 0, 0) for tokens in (100_000, 10))
    statistics = dict(zip(inputs.domains.fingerprints, (enough, little), strict=True))
    with pytest.raises(DataError, match="found 10 tokens to train on; expected more than one sequence"):
        check_statistics(config, "mix.yaml", inputs, statistics)
