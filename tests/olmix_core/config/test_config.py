"""A configuration says much with few fields; whatever it cannot mean is refused by name.

The messages of whole malformed files are in tests/flows/test_malformed.py, where the command line tells them.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from olmix_core.config.base import Section
from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.evaluation import Task
from olmix_core.config.load import load_config
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.swarm import Swarm
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE
from olmix_core.errors import ConfigError

SMALLEST = {
    "name": "first-mix",
    "domains": [{"name": "code", "paths": "code/*.txt"}],
    "evaluation": {"tasks": [{"heldout": "code"}]},
}


def load(folder: Path, **changes: Any) -> Config:
    (folder / "mix.yaml").write_text(yaml.safe_dump({**SMALLEST, **changes}))
    return load_config(folder / "mix.yaml")


def test_three_fields_are_enough_and_defaults_are_those_of_the_paper(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.name == "first-mix"
    assert config.tokenizer == TrainedBPE(vocab_size=2048)
    assert config.proxy == ProxyRecipe()
    assert config.swarm.runs is None
    assert (config.swarm.sparsity, config.swarm.bounds) == ("sparse", {})
    assert config.surrogate.huber_delta == 0.02
    assert (config.proposal.kl, config.proposal.repetition, config.proposal.target_tokens) == (0.05, 4.0, None)


def test_every_field_has_a_description() -> None:
    def sections(kind: type[Section]) -> list[type[Section]]:
        return [kind, *(found for below in kind.__subclasses__() for found in sections(below))]

    found = [section for section in sections(Section)[1:] if section.__module__.startswith("olmix_core.config.")]
    assert Config in found
    for section in found:
        for name, field in section.model_fields.items():
            if name != "kind":
                assert field.description, f"{section.__name__}.{name}"


def test_relative_paths_are_resolved_against_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "configs" / "mix.yaml").write_text(
        yaml.safe_dump(
            {
                **SMALLEST,
                "store": "store",
                "domains": [
                    {"name": "a", "paths": ["a.txt", "../b.txt", "/c.txt", "~/d.txt", "~e.txt", "s3://bucket/f.txt"]},
                    {"name": "b", "topics": [{"name": "c", "quality": [{"name": "d", "paths": "d.txt"}]}]},
                ],
                "tokenizer": {"path": "tokenizer.json"},
                "evaluation": {"tasks": [{"file": "task.jsonl"}, {"heldout": "a"}]},
            }
        )
    )
    config = load_config("configs/mix.yaml")
    here = f"{tmp_path}/configs"
    assert config.store == f"{here}/store"
    assert config.domains[0].paths == [
        f"{here}/a.txt",
        f"{here}/../b.txt",
        "/c.txt",
        "/home/someone/d.txt",
        f"{here}/~e.txt",
        "s3://bucket/f.txt",
    ]
    assert config.domains[1].children[0].children[0].paths == [f"{here}/d.txt"]
    assert isinstance(config.tokenizer, TokenizerFile)
    assert config.tokenizer.path == f"{here}/tokenizer.json"
    assert [task.file for task in config.evaluation.tasks] == [f"{here}/task.jsonl", None]
    assert [task.label for task in config.evaluation.tasks] == ["task", "a"]


def test_urls_are_not_resolved(tmp_path: Path) -> None:
    assert load(tmp_path, store="s3://bucket/olmix").store == "s3://bucket/olmix"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, TrainedBPE()),
        ({"vocab_size": 512}, TrainedBPE(vocab_size=512)),
        ({"kind": "bytes"}, Bytes(kind="bytes")),
        ({"path": "/t.json", "eos": "</s>"}, TokenizerFile(kind="file", path="/t.json", eos="</s>")),
    ],
)
def test_kind_of_tokenizer_is_inferred_from_its_fields(tmp_path: Path, given: dict[str, Any], meant: Section) -> None:
    assert load(tmp_path, tokenizer=given).tokenizer == meant


def test_yaml_anchors_are_accepted(tmp_path: Path) -> None:
    text = yaml.safe_dump(SMALLEST) + "swarm: &drawn {seed: 1, runs: 5}\nproxy: {seed: 3}\n"
    (tmp_path / "mix.yaml").write_text(text.replace("&drawn {seed: 1, runs: 5}", "{<<: {seed: 1, runs: 5}, seed: 2}"))
    config = load_config(tmp_path / "mix.yaml")
    assert (config.swarm.seed, config.swarm.runs, config.proxy.seed) == (2, 5, 3)


# Pinned weights


def leaf(name: str, weight: float | None = None) -> dict[str, Any]:
    return {"name": name, "paths": f"{name}.txt"} | ({} if weight is None else {"weight": weight})


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_weights_that_add_up_to_one_are_accepted(parts: list[int]) -> None:
    topics = [leaf(f"t{i}", part / sum(parts)) for i, part in enumerate(parts)]
    node = Domain.model_validate({"name": "web", "topics": topics})
    assert node.is_frozen
    assert [child.weight for child in node.children] == [part / sum(parts) for part in parts]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8).filter(lambda parts: abs(sum(parts) - 1) > 1e-5))
def test_weights_that_do_not_add_up_to_one_are_refused(parts: list[float]) -> None:
    topics = [leaf(f"t{i}", part) for i, part in enumerate(parts)]
    with pytest.raises(ValidationError, match=r"found weights that add up to .*; expected 1"):
        Domain.model_validate({"name": "web", "topics": topics})


@pytest.mark.parametrize("weight", [0, -0.5, 1.5, float("nan")])
def test_weight_outside_of_zero_to_one_is_refused(weight: float) -> None:
    with pytest.raises(ValidationError, match="weight"):
        Domain.model_validate(leaf("a", weight))


def test_parts_of_a_pinned_domain_must_be_pinned() -> None:
    quality = [leaf("high"), leaf("low")]
    topics = [{"name": "a", "weight": 0.5, "quality": quality}, leaf("b", 0.5)]
    with pytest.raises(ValidationError, match="found a weight for 'a', whose parts have none"):
        Domain.model_validate({"name": "web", "topics": topics})
    for bucket, weight in zip(quality, (0.9, 0.1), strict=True):
        bucket["weight"] = weight
    assert Domain.model_validate({"name": "web", "topics": topics}).is_frozen


def test_single_part_needs_no_weight() -> None:
    topics = [{"name": "a", "weight": 0.5, "quality": [leaf("all")]}, leaf("b", 0.5)]
    assert Domain.model_validate({"name": "web", "topics": topics}).is_frozen


def test_quality_may_be_pinned_below_free_topics() -> None:
    buckets = [leaf("high", 0.9), leaf("low", 0.1)]
    node = Domain.model_validate({"name": "web", "topics": [{"name": "a", "quality": buckets}, leaf("b")]})
    assert not node.is_frozen
    assert node.children[0].is_frozen


# What is refused, beyond tests/flows/test_malformed.py

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "upper case": ({"name": "First Mix"}, "name: found 'First Mix'; expected match pattern"),
    "a number for a name": ({"name": 2024}, "name: found 2024; expected a valid string"),
    "a colon in a label": ({"domains": [leaf("a:b")]}, r"domains[0].name: found 'a:b'; expected match pattern"),
    "no store": ({"store": ""}, "store: found ''; expected"),
    "an empty list of paths": ({"domains": [{"name": "a", "paths": []}]}, "domains[0]: found an empty path"),
    "an empty list of topics": (
        {"domains": [{"name": "a", "topics": []}]},
        "domains[0]: found an empty list of topics; expected at least one",
    ),
    "less than a batch": ({"proxy": {"tokens": 511}}, "proxy: found 511 tokens; expected at least one batch (4 x 128"),
    "part of a token": ({"proxy": {"tokens": 1000.5}}, "proxy.tokens: found 1000.5; expected a valid integer"),
    "no run": ({"swarm": {"runs": 1}}, "swarm.runs: found 1; expected greater than or equal to 2"),
    "strengths in the wrong order": (
        {"swarm": {"min_strength": 6}},
        "swarm: found min_strength 6.0 above max_strength 5.0; expected the smaller one first",
    ),
    "half a bound": ({"swarm": {"bounds": {"code": [0.1]}}}, "swarm.bounds.code[1]: found nothing"),
    "a negative ridge": ({"surrogate": {"ridge": -1}}, "surrogate.ridge: found -1; expected greater than"),
    "no task": ({"evaluation": {"tasks": []}}, "evaluation.tasks: found []; expected"),
    "an empty section": ({"proposal": None}, "proposal: found None; expected a mapping of fields"),
    "a field of another tokenizer": (
        {"tokenizer": {"path": "t.json", "vocab_size": 512}},
        "tokenizer.vocab_size: found an unknown field; expected one of kind, path, eos",
    ),
    "a strategy that there is not": ({"reuse": {"strategy": "magic"}}, "reuse.strategy: found 'magic'; expected "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_settings_are_refused_by_name(name: str, tmp_path: Path) -> None:
    changes, message = REFUSED[name]
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{tmp_path}/mix.yaml: {message}')}"):
        load(tmp_path, **changes)


def test_config_error_has_its_parts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, proxy={"layers": 0})
    assert (error.value.file, error.value.field) == (f"{tmp_path}/mix.yaml", "proxy.layers")
    assert (error.value.found, error.value.expected) == ("0", "greater than 0")


@pytest.mark.parametrize("text", ["name: [*a]", "- a: &x [1]\n- *y", "a: b: c", "\tname: a", "%YAML 3", "a: !!float x"])
def test_invalid_yaml_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(ConfigError, match="expected valid YAML"):
        load_config(tmp_path / "mix.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*Config.model_fields, "paths", "topics", "kind"]) | st.text(), inner)
        ),
        max_leaves=8,
    )
)
def test_any_file_is_a_configuration_or_one_error(tmp_path_factory: Any, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True))
    with pytest.raises(ConfigError, match=r"(?s)whatever.yaml: .*: found .*; expected "):
        load_config(path)


def test_duplicate_key_is_refused_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(SMALLEST) + "proxy:\n  layers: 1\n  width: 64\n  layers: 2\n")
    with pytest.raises(ConfigError, match=r"line \d+: found the key 'layers' twice in one mapping"):
        load_config(tmp_path / "mix.yaml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Swarm().seed = 3  # type: ignore[misc]


def test_weights_of_tasks_follow_the_mean_over_families(tmp_path: Path) -> None:
    tasks = [{"file": "a.jsonl", "family": "math"}, {"file": "b.jsonl", "family": "math"}, {"file": "c.jsonl"}]
    evaluation = {"average": "families", "family_weights": {"math": 4.0}, "tasks": tasks}
    loaded = load(tmp_path, evaluation=evaluation).evaluation
    assert loaded.weights == {"a": 2.0, "b": 2.0, "c": 1.0}
    # as much where the tasks stand in a list of their own
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(tasks))
    listed = load(tmp_path, evaluation={**evaluation, "tasks": [{"list": "tasks.yaml"}]}).evaluation
    assert listed.weights == loaded.weights


def test_label_of_a_task_defaults_to_its_file_or_domain() -> None:
    assert Task(file="/x/arc.jsonl").label == "arc"
    assert Task(heldout="web:sports", name="sports").label == "sports"
