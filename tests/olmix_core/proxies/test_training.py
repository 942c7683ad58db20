"""Training: reproducible, on the mixture asked for, with clear errors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.data.corpus import Corpus
from olmix_core.errors import DivergenceError, TrainingError
from olmix_core.mixture import apportion
from olmix_core.proxies import training as proxy_module
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.results import TrainingProgress
from olmix_core.proxies.sequences import Sequences
from olmix_core.proxies.training import learning_rates, train
from tests.support.proxies import RECIPE, SHORT, trained, weights_of

pytestmark = pytest.mark.usefixtures("one_thread")


STEPS = 128


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_results_are_reproducible_bit_for_bit(corpora: dict[str, Corpus], precision: str) -> None:
    # Equal shares of 64 sequences: one leaf has one more, whatever the order they are given in.
    first = trained({"code": 1 / 3, "guide": 1 / 3, "manual": 1 / 3}, corpora, SHORT, precision=precision)
    torch.manual_seed(99)
    np.random.default_rng(99).random()
    second = trained({"manual": 1 / 3, "guide": 1 / 3, "code": 1 / 3}, corpora, SHORT, precision=precision)
    assert torch.equal(weights_of(first), weights_of(second))
    assert first.training.losses == second.training.losses


def test_seed_and_mixture_change_the_weights(corpora: dict[str, Corpus]) -> None:
    proxies = [
        trained({"code": 0.4, "manual": 0.6}, corpora, SHORT),
        trained({"code": 0.4, "manual": 0.6}, corpora, SHORT, seed=1),
        trained({"code": 0.6, "manual": 0.4}, corpora, SHORT),
    ]
    for one, other in itertools.combinations(proxies, 2):
        assert not torch.equal(weights_of(one), weights_of(other))


def test_unused_corpora_have_no_effect(corpora: dict[str, Corpus]) -> None:
    only = {"code": corpora["code"]}
    assert torch.equal(
        weights_of(trained({"code": 1.0}, corpora, SHORT)), weights_of(trained({"code": 1.0}, only, SHORT))
    )


def test_training_learns_real_text(corpora: dict[str, Corpus]) -> None:
    proxy = trained({"code": 0.5, "manual": 0.5}, corpora)
    first, last = proxy.training.losses[0][1], np.mean([loss for _, loss in proxy.training.losses[-5:]])
    assert first > np.log(257) - 0.2
    assert last < 3.4  # the frequencies of letters alone give about 3.3
    steps = [step for step, _ in proxy.training.losses]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS - 1
    assert proxy.training.parameters == sum(p.numel() for p in proxy.model.parameters())
    assert proxy.training.seconds > 0


@pytest.mark.parametrize(
    "mixture",
    [
        {"code": 1.0},
        {"code": 0.5, "manual": 0.5},
        {"code": 0.013, "manual": 0.9, "guide": 0.087},
        {"tiny": 0.25, "code": 0.75},
    ],
)
def test_tokens_follow_the_mixture(corpora: dict[str, Corpus], mixture: dict[str, float]) -> None:
    proxy = trained(mixture, corpora, SHORT)
    sequences = 2048 // SHORT.sequence_length
    assert sum(proxy.training.tokens.values()) == SHORT.tokens
    leaves = sorted(mixture)
    shares = apportion([mixture[leaf] for leaf in leaves], sequences)
    assert proxy.training.tokens == {leaf: int(n) * 32 for leaf, n in zip(leaves, shares, strict=True)}
    for leaf, weight in mixture.items():
        assert abs(proxy.training.tokens[leaf] - weight * SHORT.tokens) <= SHORT.sequence_length
        available = int((corpora[leaf].ends - corpora[leaf].starts).sum())
        assert proxy.training.epochs[leaf] == pytest.approx(proxy.training.tokens[leaf] / available)
    if "tiny" in mixture:
        assert proxy.training.epochs["tiny"] > 5


def test_tokens_beyond_whole_batches_are_left_out(corpora: dict[str, Corpus]) -> None:
    assert sum(trained({"code": 1.0}, corpora, SHORT, tokens=2048 + 127).training.tokens.values()) == 2048


def test_a_leaf_too_small_for_a_sequence_is_named(corpora: dict[str, Corpus]) -> None:
    with pytest.raises(
        TrainingError, match="domain tiny: found 52 tokens to train on; expected more than one sequence"
    ):
        trained({"tiny": 0.5, "code": 0.5}, corpora, sequence_length=64)


def test_a_wide_model_may_begin_above_guessing(corpora: dict[str, Corpus]) -> None:
    recipe = {"width": 256, "heads": 2, "layers": 1, "learning_rate": 1e-3}
    losses = trained({"code": 1.0}, corpora, SHORT, **recipe).training.losses
    assert losses[0][1] > 1.5 * np.log(257) > losses[-1][1]


@pytest.mark.filterwarnings("ignore")
def test_training_that_diverges_is_an_error(corpora: dict[str, Corpus]) -> None:
    with pytest.raises(DivergenceError, match=r"the loss is \S+ at step \d+ of 128, .*a smaller proxy\.learning_rate"):
        trained({"code": 1.0}, corpora, learning_rate=1e6)


def test_a_loss_far_above_guessing_is_divergence(corpora: dict[str, Corpus]) -> None:
    message = r"the loss is \d+\S* at step \d+ of 128, where training begins at about 5\.657"
    with pytest.raises(DivergenceError, match=message):
        trained({"code": 1.0}, corpora, learning_rate=3.0, warmup=0.0)


def test_another_attempt_trains_on_the_same_text_in_another_order(corpora: dict[str, Corpus]) -> None:
    mixture = {"code": 0.4, "manual": 0.6}
    first = train(Sequences(mixture, corpora, SHORT), SHORT, 257)
    again = train(Sequences(mixture, corpora, SHORT, attempt=1), SHORT, 257)
    assert first.training.tokens == again.training.tokens
    assert not torch.equal(weights_of(first), weights_of(again))


def test_gradients_accumulate_over_parts_of_a_batch(
    corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained({"code": 1.0}, corpora, SHORT)
    monkeypatch.setattr(proxy_module, "CPU_TOKENS", 96)  # three of four sequences, then the last
    parts = trained({"code": 1.0}, corpora, SHORT)
    assert [loss for _, loss in parts.training.losses] == pytest.approx(
        [loss for _, loss in whole.training.losses], rel=1e-4
    )


def test_batches_are_halved_when_memory_runs_out(corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert [loss for _, loss in parts.training.losses] == pytest.approx(
        [loss for _, loss in whole.training.losses], rel=1e-4
    )

    def no_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Transformer, "hidden", no_memory)
    with pytest.raises(TrainingError, match="too little memory for one sequence; expected a smaller"):
        trained({"code": 1.0}, corpora, SHORT)


def test_attention_can_be_kept_within_documents(corpora: dict[str, Corpus]) -> None:
    mixture = {"tiny": 0.25, "code": 0.75}
    apart, together = (trained(mixture, corpora, SHORT, document_mask=on) for on in (True, False))
    assert not torch.equal(weights_of(apart), weights_of(together))
    assert apart.training.losses[0][1] == pytest.approx(together.training.losses[0][1], rel=0.05)
    # Where no document ends within a sequence there is nothing to keep apart.
    recipe = {"tokens": 128, "batch_size": 1, "sequence_length": 32}
    long = [trained({"code": 1.0}, corpora, SHORT, document_mask=on, **recipe) for on in (True, False)]
    assert torch.allclose(weights_of(long[0]), weights_of(long[1]), atol=1e-5)


def test_progress_is_reported(corpora: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmix_core.proxies.training.REPORT_SECONDS", 0.0)
    told: list[TrainingProgress] = []
    train(Sequences({"code": 1.0}, corpora, SHORT), SHORT, 257, told.append)
    assert [state.done for state in told] == pytest.approx([(i + 1) / 16 for i in range(16)])
    assert all(state.tokens_per_second > 0 for state in told)


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


def test_learning_rates_of_an_example() -> None:
    recipe = RECIPE.model_copy(update={"warmup": 0.5, "final_learning_rate": 0.5, "learning_rate": 1.0})
    assert learning_rates(recipe, 4).tolist() == [0.5, 1.0, 0.75, 0.5]
