"""A leaf whose files are a sample counts as what it stands for: in natural weights, caps and epochs, not in proxies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.mix_view import mixture_table
from flows.reports.plan import make_plan
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError
from olmix_core.formatting import amount
from olmix_core.mixes.loading import load
from olmix_core.mixes.tables import read_table
from olmix_core.report.page import report_html

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


def edited(config: Path, **changes: dict[str, Any]) -> Path:
    """The configuration with other fields of some domains."""
    record = yaml.safe_load(config.read_text())
    for domain in record["domains"]:
        domain |= changes.get(domain["name"], {})
    config.write_text(yaml.safe_dump(record))
    return config


def test_a_sample_counts_as_what_it_stands_for(project: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    config = project()
    whole, _ = run(config)
    counted = {leaf["label"]: leaf["tokens"] - leaf["heldout_tokens"] for leaf in whole["domain_set"]}
    (tmp_path / "code").mkdir()
    (tmp_path / "code.jsonl").rename(tmp_path / "code" / "code.jsonl")
    (tmp_path / "code" / "notes.pdf").write_text("no text")
    edited(config, code={"paths": "code", "skip": "*.pdf", "scale": 10}, guide={"tokens": 123_456})
    plan = make_plan(load_config(config), str(config))
    assert "code: stands for 10 times its tokens" in plan.notes
    assert "guide: stands for 123,456 tokens" in plan.notes
    assert plan.steps["statistics"].executed == 0
    sampled, executed = run(config)
    assert "statistics" not in executed
    tokens = counted | {"code": 10 * counted["code"], "guide": 123_456}

    table = read_table((tmp_path / "store/mixes/test" / sampled["version"] / "mix.csv").read_bytes()).set_index(
        "domain"
    )
    assert table["tokens"].to_dict() == tokens
    assert table["in_files"].dropna().to_dict() == {name: counted[name] for name in ("code", "guide")}
    total = sum(tokens.values())
    assert table["natural"].to_dict() == pytest.approx(
        {name: count / total for name, count in tokens.items()}, abs=1e-9
    )
    assert sampled["target_tokens"] == total
    length = sampled["settings"]["proposal"]["sequence_length"]
    repetition = sampled["settings"]["proposal"]["repetition"]
    for name, row in table.iterrows():
        assert row["epochs"] == pytest.approx(row["sequences"] * length / tokens[str(name)])
        assert row["cap"] == pytest.approx(repetition * tokens[str(name)] / total)
    # The proxies train on the files at hand.
    by_label = {leaf["label"]: leaf for leaf in sampled["domain_set"]}
    before = {leaf["label"]: leaf for leaf in whole["domain_set"]}
    assert {name: leaf.get("stands_for") for name, leaf in by_label.items()} == {
        **dict.fromkeys(by_label), "code": tokens["code"], "guide": 123_456,
    }  # fmt: skip
    assert all({**leaf, "stands_for": None} == {**before[name], "stands_for": None} for name, leaf in by_label.items())
    notes = [note for note in sampled["notes"] if "stands for" in note]
    assert [note.split(" tokens, of which")[0] for note in notes] == [
        f"{name} stands for {amount(tokens[name])}" for name in ("code", "guide")
    ]
    report = report_html(load(str(tmp_path / "store"))).decode()
    assert report.count("(a sample: ") == 2
    assert mixture_table(table.reset_index()).row_count == len(tokens)


@pytest.mark.long
def test_a_sample_that_stands_for_itself_changes_no_key(project: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code.jsonl").rename(tmp_path / "code" / "code.jsonl")
    (tmp_path / "code" / "notes.pdf").write_text("no text")
    config = edited(project(), code={"paths": "code", "skip": "*.pdf"})
    run(config)
    _, executed = run(edited(config, code={"scale": 1}))
    assert set(executed) <= {"publish"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": 3}, r"domains: code: tokens: found 3, fewer than the [\d,]+ tokens to train on in its files"),
        ({"scale": 0.5}, r"domains\[\d\]\.scale: found 0\.5; expected .*1"),
        ({"scale": float("inf")}, r"domains\[\d\]\.scale: found .*inf"),
        ({"tokens": 10**9, "scale": 2}, r"domains\[\d\]: found tokens and scale; expected one of them"),
    ],
)
def test_what_cannot_be_a_sample_is_refused(
    fields: dict[str, Any], message: str, project: Callable[..., Path], run: Run
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(edited(project(), code=fields))


def test_proxies_cannot_repeat_a_sample_as_the_target_repeats_the_whole(project: Callable[..., Path], run: Run) -> None:
    config = project(proposal={"target_tokens": 1e6})
    record = yaml.safe_load(config.read_text())
    record["proxy"]["leaf_share"] = "match"
    config.write_text(yaml.safe_dump(record))
    with pytest.raises(ConfigError, match=r"proxy\.leaf_share: found 'match' beside code, whose files stand for more"):
        run(edited(config, code={"scale": 2}))
