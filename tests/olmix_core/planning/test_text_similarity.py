"""A new leaf is expected to be like the known leaves that its text resembles."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import byte_tokenizer, train_bpe
from olmix_core.planning.text_similarity import profile, resemblance


def leaf(folder: Path, name: str, texts: list[str]) -> list[InputFile]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [InputFile(str(path), ".jsonl text")]


def test_code_resembles_code(texts: dict[str, list[str]], tmp_path: Path) -> None:
    tokenizer = train_bpe([*texts["manual"], *texts["code"]], 1024)
    known = [profile(leaf(tmp_path, name, texts[name]), tokenizer) for name in ("manual", "code")]
    new = profile(leaf(tmp_path, "new", [inspect.getsource(inspect)]), tokenizer)
    prose_share, code_share = resemblance(new, np.stack(known))
    assert code_share > 0.5 > prose_share
    assert prose_share + code_share == pytest.approx(1)


def test_a_profile_is_a_distribution(texts: dict[str, list[str]], tmp_path: Path) -> None:
    found = profile(leaf(tmp_path, "code", texts["code"]), byte_tokenizer())
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0


def test_a_known_leaf_resembles_itself_alone() -> None:
    known = np.random.default_rng(0).dirichlet(np.ones(50), size=4)
    assert resemblance(known[2], known) == pytest.approx([0, 0, 1, 0], abs=1e-9)


def test_a_blend_is_found_again() -> None:
    known = np.random.default_rng(0).dirichlet(np.ones(50), size=4)
    assert resemblance([0.2, 0.0, 0.7, 0.1] @ known, known) == pytest.approx([0.2, 0.0, 0.7, 0.1], abs=1e-9)


def test_what_resembles_nothing_is_like_all() -> None:
    assert resemblance(np.array([0.0, 0.0, 1.0]), np.eye(3)[:2]) == pytest.approx([0.5, 0.5])
