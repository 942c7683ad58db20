"""Fit configurations of the published tool: read unchanged, invalid ones refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from olmix_core.errors import ConfigError
from olmix_core.interop.fit_config import FitConfig, load_fit_config
from tests.support.published_swarm import DOMAINS, TASKS, Project, refused, run

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("section", "fields", "words"),
    [
        ("proposer", {"kl_regs": 0.1}, ("proposer.kl_regs", "unknown field", "kl_reg, use_natural_kl")),
        ("sworm", {}, ("sworm", "unknown field", "swarm, priors")),
        ("swarm", None, ("swarm", "nothing", "required")),
        (
            "regression",
            {"type": "forest"},
            ("regression.type", "'forest'", "log_linear", "diminishing_returns", "search"),
        ),
        ("regression", {"train_split": [0.5, 0.5]}, ("regression.train_split", "2 numbers")),
        ("regression", {"n_test": 40}, ("regression.train_split", "40 runs there are")),
        ("regression", {"train_split": 41}, ("regression.train_split", "41 runs to fit to")),
        ("regression", {"aggregate_task_families": True}, ("aggregate_task_families", "eval.tasks")),
        ("proposer", {"make_worst_mix": True}, ("proposer.make_worst_mix", "true")),
        ("proposer", {"type": "magic"}, ("proposer.type", "'magic'", "'exact'")),
        ("constraints", {"target_tokens": None}, ("constraints", "target_tokens")),
        ("filtering", {"obj_weights": {"sums": "1/0"}}, ("filtering.obj_weights.sums", "'1/0'")),
        ("filtering", {"fixed_weight": {"math": 0.6, "code:c": 0.6}}, ("filtering.fixed_weight", "1.2")),
        ("filtering", {"drop_metrics": list(TASKS)}, ("filtering.drop_metrics", "every task")),
        ("eval", {"tasks": {"a": ["sums"], "b": ["sums"]}}, ("eval", "'sums' twice")),
        ("eval", {"tasks": {"a": 3}}, ("eval.tasks.a",)),
        ("priors", {"relative_sizes": {}, "token_counts": {}}, ("priors", "no sizes")),
        ("priors", {"virtual_domains": {"code": {"a": 1}}}, ("priors.virtual_domains.code",)),
        ("priors", {"virtual_domains": {"math": {"code:c": 1}}}, ("'code:c' in two places",)),
        ("priors", {"token_counts": {"math": 1}}, ("priors.token_counts.code", "nothing")),
    ],
)
def test_invalid_configurations(
    write: Project,
    ratios: pd.DataFrame,
    metrics: pd.DataFrame,
    section: str,
    fields: dict[str, Any] | None,
    words: tuple[str, ...],
) -> None:
    path = write(ratios, metrics, **{section: fields})
    with refused(ConfigError, "fit.yaml", *words):
        run(path)
    assert not (path.parent / "out").exists()


@pytest.mark.parametrize(("text", "words"), [("a: [", ("line",)), ("- a", ("mapping",)), ("a: 1\na: 2", ("twice",))])
def test_files_that_are_not_a_configuration(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "fit.yaml"
    path.write_text(text)
    with refused(ConfigError, "fit.yaml", *words):
        load_fit_config(path)
    with refused(ConfigError, "no such file"):
        load_fit_config(tmp_path / "none.yaml")


def test_fields_without_effect_are_reported(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    path = write(
        ratios,
        metrics,
        priors={"total_tokens": 1},
        proposer={"type": "search", "temperature": 0.5, "fit_only": True, "kl_reg": None},
        constraints={"enabled": False},
    )
    lines = load_fit_config(path).remarks()
    for field in ("total_tokens", "proposer.type search", "temperature", "fit_only", "kl_reg", "constraints.enabled"):
        assert sum(field in line for line in lines) == 1
    assert not load_fit_config(write(ratios, metrics)).remarks()
    path.write_text(path.read_text().replace("  repetition_factor: 4.0\n", ""))
    assert any("4 epochs" in line for line in load_fit_config(path).remarks())


def test_tokens_one_level_too_high(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    # As in a released configuration.
    path = write(ratios, metrics, priors={"token_counts": {}}, token_counts=dict.fromkeys(DOMAINS, 2e9))
    config = load_fit_config(path)
    assert config.tokens == dict.fromkeys(DOMAINS, 2e9)
    assert any("token_counts at the top level" in line for line in config.remarks())


def test_every_field_and_file_is_documented() -> None:
    text = (ROOT / "docs" / "fit.md").read_text()
    for name, section in FitConfig.model_fields.items():
        assert f"`{name}" in text, name
        for field in getattr(section.annotation, "model_fields", {}):
            assert f"`{field}`" in text, f"{name}.{field}"
    for name in ("mix.csv", "mix.json", "surrogate.json", "diagnostics.csv", "held_out.csv", "effects.png"):
        assert f"`{name}`" in text


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "fit.md").read_text()
    path = tmp_path / "fit.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    assert load_fit_config(path).filtering.obj_weights["code"] == pytest.approx(19 / 52)
