"""Compiled training: the same results, where it pays, and without a compiler none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.proxies import training as proxy_module
from olmix_core.proxies.compilation import compiling_pays, count_training_flop
from tests.support.proxies import SHORT, needs_compiler, trained

pytestmark = pytest.mark.usefixtures("one_thread")


@needs_compiler
@pytest.mark.parametrize("document_mask", [False, True])
@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-4), ("bfloat16", 3e-3)])
def test_a_compiled_model_learns_the_same(
    corpora: dict[str, Corpus], precision: str, close: float, document_mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture, found = {"tiny": 0.25, "code": 0.75}, []
    for compiled in (False, True):
        monkeypatch.setattr(proxy_module, "compiling_pays", lambda *_, compiled=compiled: compiled)
        found.append(trained(mixture, corpora, SHORT, precision=precision, document_mask=document_mask))
    plain, other = ([loss for _, loss in one.training.losses] for one in found)
    assert other == pytest.approx(plain, rel=close)
    assert [one.training.compiled for one in found] == [False, True]


# In a process of its own: torch looks for a compiler once.
WITHOUT_COMPILER = """
import json, sys
import numpy as np, torch
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.training import Gradient
from olmix_core.config.recipe import ProxyRecipe

recipe = ProxyRecipe(layers=1, width=32, heads=2, sequence_length=32, batch_size=4, tokens=16_384)
batch, found = np.arange(132).reshape(4, 33), []
for compile in (False, True):
    model = Transformer(recipe, 257)
    gradient = Gradient(model, recipe, torch.device("cpu"), compile=compile)
    loss = gradient(batch, None)
    slopes = torch.cat([p.grad.flatten() for p in model.parameters()])
    found.append((float(loss), slopes.tolist(), gradient.compiled))
json.dump(found, sys.stdout)
"""


@pytest.mark.long
def test_training_goes_on_uncompiled_without_a_compiler(tmp_path: Path) -> None:
    without = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=without, stdout=subprocess.PIPE, check=True, text=True
    )
    plain, other = json.loads(done.stdout)
    assert other[:2] == plain[:2]
    assert plain[2] is False
    assert other[2].startswith("not compiled: ")
    assert "no-such-compiler" in other[2]


def test_compiling_pays_for_long_trainings_only() -> None:
    def paid(device: str, vocab_size: int, **recipe: object) -> bool:
        return compiling_pays(ProxyRecipe.model_validate(recipe).counted(vocab_size), vocab_size, torch.device(device))

    assert not paid("cpu", 2048, recipe="tiny")
    assert paid("cpu", 2048, recipe="tiny", precision="bfloat16")
    assert paid("cpu", 50_257, recipe="15m")
    assert not paid("cuda", 2048, recipe="tiny")
    assert paid("cuda", 50_257, recipe="30m")


def test_operations_are_counted_as_in_palm() -> None:
    recipe = ProxyRecipe(layers=2, width=64, heads=2, sequence_length=128, batch_size=4, tokens=512)
    assert count_training_flop(recipe, 2048) == 512 * (6 * recipe.parameters(2048) + 12 * 2 * 64 * 128)
