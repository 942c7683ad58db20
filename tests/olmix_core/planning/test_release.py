"""The automatic release, from evidence and text to the leaves that are recomputed, on a truth that is known."""

import inspect
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import train_bpe
from olmix_core.planning.release import choose_release
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.test_problems import log_linear

# What each web topic does for a code task, a sport task and a general one: log-linear coefficients.
TRUTH = {"software": [-1.2, 0.3, 0.0], "sports": [0.3, -0.4, -0.1], "news": [0.1, 0.1, -0.3]}
TASKS = ["code", "sport", "general"]
OLD = {"software": 0.2, "sports": 0.4, "news": 0.4}


def swarm() -> SwarmData:
    """30 runs of the truth, with a little noise."""
    random = np.random.default_rng(0)
    x, y = np.zeros((30, len(TRUTH))), np.zeros((30, len(TASKS)))
    coefficients = np.array(list(TRUTH.values()))
    for number in range(30):
        x[number] = random.dirichlet([1.0, 1.0, 1.0])
        y[number] = 0.6 + np.exp(x[number] @ coefficients) + random.normal(0, 0.003, len(TASKS))
    return SwarmData(x, y, tuple(f"run{number:02d}" for number in range(30)), tuple(TRUTH), tuple(TASKS))


def leaf(folder: Path, name: str, texts: list[str]) -> list[InputFile]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [InputFile(str(path), ".jsonl text")]


def test_adding_code_releases_software_before_sports(texts: dict[str, list[str]], tmp_path: Path) -> None:
    files = {
        "software": leaf(tmp_path, "software", texts["code"]),
        "sports": leaf(tmp_path, "sports", texts["manual"]),
        "news": leaf(tmp_path, "news", texts["guide"]),
        "github": leaf(tmp_path, "github", [inspect.getsource(inspect), inspect.getsource(json)]),
    }
    found = choose_release(
        evidence=swarm(),
        old_weights=OLD,
        kept=sorted(TRUTH),
        affected={"github": None},
        files=files,
        tokenizer=train_bpe([*texts["code"], *texts["manual"]], 1024),
    )
    assert found is not None
    shares = found.resembles["github"]
    assert max(shares, key=lambda one: shares[one]) == "software"
    assert [effect.leaf for effect in found.leaves] == ["software", "sports", "news"]
    assert [effect.leaf for effect in found.released][:1] == ["software"]
    assert found.after < found.before


def test_a_revised_leaf_is_expected_to_be_like_its_old_content(tmp_path: Path, texts: dict[str, list[str]]) -> None:
    files = {name: leaf(tmp_path, name, texts["manual"][:2]) for name in ("sports", "news")}
    found = choose_release(
        evidence=swarm(),
        old_weights={"sports": 0.5, "news": 0.5},
        kept=["news", "sports"],
        affected={"software-v2": {"software": 1.0}},
        files=files,
        tokenizer=train_bpe(texts["manual"], 512),
    )
    assert found is not None
    assert found.resembles == {}
    assert found.before > 0


def test_one_kept_leaf_has_no_ratios_to_keep(texts: dict[str, list[str]]) -> None:
    tokenizer = train_bpe(texts["manual"], 512)
    affected = {"sports": {"sports": 1.0}, "news": {"news": 1.0}}
    assert (
        choose_release(
            evidence=swarm(),
            old_weights=OLD,
            kept=["software"],
            affected=affected,
            files={},
            tokenizer=tokenizer,
        )
        is None
    )


@pytest.mark.parametrize("shift", [-2.0, 0.0, 3.0])
def test_what_moves_all_leaves_alike_releases_nothing_more(
    shift: float, tmp_path: Path, texts: dict[str, list[str]]
) -> None:
    """BPB scaled as a whole (all coefficients shifted) leaves the order of release as it was."""
    evidence = swarm()
    scaled = replace(evidence, Y=0.6 + (evidence.Y - 0.6) * float(np.exp(shift / 4)))
    found = choose_release(
        evidence=scaled,
        old_weights=OLD,
        kept=sorted(TRUTH),
        affected={"v2": {"software": 1.0}},
        files={name: leaf(tmp_path, name, texts["manual"][:2]) for name in TRUTH},
        tokenizer=train_bpe(texts["manual"], 512),
    )
    assert found is not None
    assert found.leaves[0].leaf == "software"


def test_the_release_hardly_changes_with_the_draw_of_the_runs(tmp_path: Path, texts: dict[str, list[str]]) -> None:
    tokenizer, agreement = train_bpe(texts["manual"], 512), []
    for seed in (0, 2, 6):
        problem = log_linear(8, 4, seed=seed).with_noise(0.04)
        *kept, changed = problem.leaves
        files = {name: leaf(tmp_path, name, texts["manual"][:1]) for name in kept}
        released = []
        for draw in range(6):
            choice = choose_release(
                evidence=problem.evidence(20, seed=100 * seed + draw),
                old_weights=dict.fromkeys(problem.leaves, 1.0),
                kept=kept,
                affected={"v2": {changed: 1.0}},
                files=files,
                tokenizer=tokenizer,
            )
            assert choice is not None
            released.append({effect.leaf for effect in choice.released})
        agreement += [len(a & b) / len(a | b) if a | b else 1.0 for a, b in itertools.combinations(released, 2)]
    assert np.mean(agreement) > 0.6
