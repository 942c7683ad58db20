"""Training: the same twice, of the mixture that was asked for, and loud where it fails."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus, open_corpus, tokenise
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.errors import DivergenceError, TrainingError
from olmix_core.mixture import apportion
from olmix_core.proxies import training as proxy_module
from olmix_core.proxies.checkpoints import Checkpoints
from olmix_core.proxies.compilation import compiling_pays, count_training_flop
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.results import TrainingProgress
from olmix_core.proxies.sequences import Sequences
from olmix_core.proxies.training import TrainedProxy, learning_rates, train
from olmix_core.storage.store import Store

RECIPE = ProxyRecipe(layers=1, width=32, heads=2, sequence_length=32, batch_size=4, tokens=16_384)
STEPS = 128

# What torch's compiler needs for a CPU: g++ or another, and the headers of Python.
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
HEADERS = Path(sysconfig.get_path("include"), "Python.h").exists()
needs_compiler = pytest.mark.skipif(not (COMPILER and HEADERS), reason="needs a C++ compiler and Python's headers")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> dict[str, Corpus]:
    """Real text of three kinds, and a `tiny` leaf of one short document."""
    folder = tmp_path_factory.mktemp("corpora")
    store = Store(str(folder / "store"))
    found = {}
    for name, documents in {**texts, "tiny": ["A short document, read many times over: forty-nine."]}.items():
        files = []
        for number, document in enumerate(documents[:12]):
            path = folder / f"{name}-{number}.txt"
            path.write_text(document[:20_000])
            files.append(InputFile(str(path), "text"))
        tokenise(files, byte_tokenizer(), store, name)
        found[name] = open_corpus(store, name, byte_tokenizer().dtype)
    return found


def trained(
    mixture: Mapping[str, float], corpora: Mapping[str, Corpus], recipe: ProxyRecipe = RECIPE, **changes: object
) -> TrainedProxy:
    recipe = recipe.model_copy(update=changes)
    return train(Sequences(mixture, corpora, recipe), recipe, 257)


def weights_of(proxy: TrainedProxy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in proxy.model.parameters()])


SHORT = RECIPE.model_copy(update={"tokens": 2048})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_twice_bit_for_bit(corpora: dict[str, Corpus], precision: str) -> None:
    # Equal shares of 64 sequences: one leaf has one more, whatever the order they are given in.
    first = trained({"code": 1 / 3, "guide": 1 / 3, "manual": 1 / 3}, corpora, SHORT, precision=precision)
    torch.manual_seed(99)
    np.random.default_rng(99).random()
    second = trained({"manual": 1 / 3, "guide": 1 / 3, "code": 1 / 3}, corpora, SHORT, precision=precision)
    assert torch.equal(weights_of(first), weights_of(second))
    assert first.losses == second.losses


def test_another_seed_or_mixture_is_another_proxy(corpora: dict[str, Corpus]) -> None:
    proxies = [
        trained({"code": 0.4, "manual": 0.6}, corpora, SHORT),
        trained({"code": 0.4, "manual": 0.6}, corpora, SHORT, seed=1),
        trained({"code": 0.6, "manual": 0.4}, corpora, SHORT),
    ]
    for one, other in itertools.combinations(proxies, 2):
        assert not torch.equal(weights_of(one), weights_of(other))


def test_other_corpora_at_hand_change_nothing(corpora: dict[str, Corpus]) -> None:
    only = {"code": corpora["code"]}
    assert torch.equal(
        weights_of(trained({"code": 1.0}, corpora, SHORT)), weights_of(trained({"code": 1.0}, only, SHORT))
    )


def test_it_learns_real_text(corpora: dict[str, Corpus]) -> None:
    proxy = trained({"code": 0.5, "manual": 0.5}, corpora)
    first, last = proxy.losses[0][1], np.mean([loss for _, loss in proxy.losses[-5:]])
    assert first > np.log(257) - 0.2
    assert last < 3.4  # the frequencies of letters alone give about 3.3
    steps = [step for step, _ in proxy.losses]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS - 1
    assert proxy.parameters == sum(p.numel() for p in proxy.model.parameters())
    assert proxy.seconds > 0


@pytest.mark.parametrize(
    "mixture",
    [
        {"code": 1.0},
        {"code": 0.5, "manual": 0.5},
        {"code": 0.013, "manual": 0.9, "guide": 0.087},
        {"tiny": 0.25, "code": 0.75},
    ],
)
def test_what_was_trained_on_is_the_mixture(corpora: dict[str, Corpus], mixture: dict[str, float]) -> None:
    proxy = trained(mixture, corpora, SHORT)
    sequences = 2048 // SHORT.sequence_length
    assert sum(proxy.tokens.values()) == SHORT.tokens
    leaves = sorted(mixture)
    shares = apportion([mixture[leaf] for leaf in leaves], sequences)
    assert proxy.tokens == {leaf: int(n) * 32 for leaf, n in zip(leaves, shares, strict=True)}
    for leaf, weight in mixture.items():
        assert abs(proxy.tokens[leaf] - weight * SHORT.tokens) <= SHORT.sequence_length
        available = int((corpora[leaf].ends - corpora[leaf].starts).sum())
        assert proxy.epochs[leaf] == pytest.approx(proxy.tokens[leaf] / available)
    if "tiny" in mixture:
        assert proxy.epochs["tiny"] > 5


def test_tokens_beyond_whole_batches_are_left_out(corpora: dict[str, Corpus]) -> None:
    assert sum(trained({"code": 1.0}, corpora, SHORT, tokens=2048 + 127).tokens.values()) == 2048


def test_a_leaf_without_a_sequence_to_give_is_named(corpora: dict[str, Corpus]) -> None:
    with pytest.raises(
        TrainingError, match="domain tiny: found 52 tokens to train on; expected more than one sequence"
    ):
        trained({"tiny": 0.5, "code": 0.5}, corpora, sequence_length=64)


@pytest.mark.filterwarnings("ignore")
def test_training_that_diverges_is_an_error(corpora: dict[str, Corpus]) -> None:
    with pytest.raises(DivergenceError, match=r"the loss is \S+ at step \d+ of 128, .*a smaller proxy\.learning_rate"):
        trained({"code": 1.0}, corpora, learning_rate=1e6)


def test_a_loss_far_above_guessing_has_exploded(corpora: dict[str, Corpus]) -> None:
    with pytest.raises(DivergenceError, match=r"the loss is \d+\S* at step \d+ of 128, where guessing gives 5\.549"):
        trained({"code": 1.0}, corpora, learning_rate=3.0, warmup=0.0)


def test_another_attempt_is_another_order_of_the_same_text(corpora: dict[str, Corpus]) -> None:
    mixture = {"code": 0.4, "manual": 0.6}
    first = train(Sequences(mixture, corpora, SHORT), SHORT, 257)
    again = train(Sequences(mixture, corpora, SHORT, attempt=1), SHORT, 257)
    assert first.tokens == again.tokens
    assert not torch.equal(weights_of(first), weights_of(again))


# Memory


def test_a_few_sequences_at_a_time_give_the_gradient_of_all(
    corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained({"code": 1.0}, corpora, SHORT)
    monkeypatch.setattr(proxy_module, "CPU_TOKENS", 96)  # three of four sequences, then the last
    parts = trained({"code": 1.0}, corpora, SHORT)
    assert [loss for _, loss in parts.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-4)


def test_where_memory_runs_out_less_goes_at_once(corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained({"code": 1.0}, corpora, SHORT)
    hidden, sizes = Transformer.hidden, set()

    def small_memory(self: Transformer, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.add(len(ids))
        return hidden(self, ids, mask)

    monkeypatch.setattr(Transformer, "hidden", small_memory)
    parts = trained({"code": 1.0}, corpora, SHORT)
    assert sizes == {2}
    assert [loss for _, loss in parts.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-4)

    def no_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Transformer, "hidden", no_memory)
    with pytest.raises(TrainingError, match="too little memory for one sequence; expected a smaller"):
        trained({"code": 1.0}, corpora, SHORT)


# Compiling


@needs_compiler
@pytest.mark.parametrize("document_mask", [False, True])
@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-4), ("bfloat16", 3e-3)])
def test_compiled_it_learns_the_same(
    corpora: dict[str, Corpus], precision: str, close: float, document_mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture, found = {"tiny": 0.25, "code": 0.75}, []
    for compiled in (False, True):
        monkeypatch.setattr(proxy_module, "compiling_pays", lambda *_, compiled=compiled: compiled)
        found.append(trained(mixture, corpora, SHORT, precision=precision, document_mask=document_mask))
    plain, other = ([loss for _, loss in one.losses] for one in found)
    assert other == pytest.approx(plain, rel=close)
    assert [one.compiled for one in found] == [False, True]


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


def test_where_it_cannot_be_compiled_it_learns_all_the_same(tmp_path: Path) -> None:
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


# Documents


def test_documents_can_be_kept_apart(corpora: dict[str, Corpus]) -> None:
    mixture = {"tiny": 0.25, "code": 0.75}
    apart, together = (trained(mixture, corpora, SHORT, document_mask=on) for on in (True, False))
    assert not torch.equal(weights_of(apart), weights_of(together))
    assert apart.losses[0][1] == pytest.approx(together.losses[0][1], rel=0.05)
    # Where no document ends within a sequence there is nothing to keep apart.
    recipe = {"tokens": 128, "batch_size": 1, "sequence_length": 32}
    long = [trained({"code": 1.0}, corpora, SHORT, document_mask=on, **recipe) for on in (True, False)]
    assert torch.allclose(weights_of(long[0]), weights_of(long[1]), atol=1e-5)


# Checkpoints


class Stop(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_what_was_stopped_goes_on_bit_for_bit(
    corpora: dict[str, Corpus], precision: str, compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "compiling_pays", lambda *_: compiled)
    monkeypatch.setattr(proxy_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr("olmix_core.proxies.checkpoints.SHARE", 1e9)
    # 80 steps, of which two make a point of the loss curve: checkpoints fall between points as well.
    recipe = SHORT.model_copy(update={"precision": precision, "tokens": 160 * 128})
    mixture = {"code": 0.4, "manual": 0.6}
    whole = train(Sequences(mixture, corpora, recipe), recipe, 257)
    store, told = Store(str(tmp_path)), list[float]()

    def until(stop: float) -> TrainedProxy:
        def progress(state: TrainingProgress) -> None:
            told.append(state.done)
            if state.done >= stop:
                raise Stop

        checkpoints = Checkpoints(store, "proxies/a/checkpoint.safetensors", seconds=0.0)
        return train(Sequences(mixture, corpora, recipe), recipe, 257, progress, checkpoints)

    for stop in (0.3, 0.31, 0.75):
        with pytest.raises(Stop):
            until(stop)
    found = until(2.0)
    assert torch.equal(weights_of(found), weights_of(whole))
    assert found.losses == whole.losses
    assert (found.tokens, found.epochs) == (whole.tokens, whole.epochs)
    assert (found.resumed, whole.resumed) == (3, 0)
    assert (found.compiled, whole.compiled) == (compiled, compiled)
    # No step was taken twice but the one after the last checkpoint.
    assert len(told) == recipe.steps + 3


def test_a_checkpoint_that_cannot_be_read_is_none(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("checkpoint.safetensors", b"not one")
    checkpoints = Checkpoints(store, "checkpoint.safetensors")
    found = train(Sequences({"code": 1.0}, corpora, SHORT), SHORT, 257, checkpoints=checkpoints)
    assert found.resumed == 0
    checkpoints.remove()
    checkpoints.remove()
    assert not store.exists("checkpoint.safetensors")


def test_progress_is_told(corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmix_core.proxies.training.REPORT_SECONDS", 0.0)
    told: list[TrainingProgress] = []
    train(Sequences({"code": 1.0}, corpora, SHORT), SHORT, 257, told.append)
    assert [state.done for state in told] == pytest.approx([(i + 1) / 16 for i in range(16)])
    assert all(state.tokens_per_second > 0 for state in told)


# Learning rates


@given(st.integers(1, 500), st.floats(0, 0.99), st.floats(0, 1), st.floats(1e-5, 1, allow_nan=False))
def test_learning_rates_rise_to_the_peak_and_fall_to_the_end(
    steps: int, warmup: float, final: float, peak: float
) -> None:
    recipe = RECIPE.model_copy(update={"warmup": warmup, "final_learning_rate": final, "learning_rate": peak})
    rates = learning_rates(recipe, steps)
    top = max(1, round(warmup * steps)) - 1
    assert rates.shape == (steps,)
    assert np.all(rates >= 0)
    assert rates[top] == rates.max() == pytest.approx(peak)
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) <= 1e-12)
    if top + 1 < steps:
        assert rates[-1] == pytest.approx(peak * final, abs=1e-12)
    if top > 1:
        assert np.diff(rates[: top + 1]) == pytest.approx(peak / (top + 1))


def test_an_example_of_learning_rates() -> None:
    recipe = RECIPE.model_copy(update={"warmup": 0.5, "final_learning_rate": 0.5, "learning_rate": 1.0})
    assert learning_rates(recipe, 4).tolist() == [0.5, 1.0, 0.75, 0.5]
