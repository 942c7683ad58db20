"""The output layer fused with the loss, against torch's own in two steps."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.proxies import cross_entropy as loss
from olmix_core.proxies.cross_entropy import linear_cross_entropy
from tests.support.properties import examples

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def inputs(rows: int, width: int, vocabulary: int, seed: int, scale: float = 1.0) -> Found:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator) * scale
    weight = torch.randn(vocabulary, width, generator=generator) / width**0.5
    return hidden, weight, torch.randint(vocabulary, (rows,), generator=generator)


def fused(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, precision: torch.dtype) -> Found:
    x, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    value = linear_cross_entropy(x, w, targets, precision)
    (3 * value).backward()
    assert x.grad is not None
    assert w.grad is not None
    return value.detach(), x.grad / 3, w.grad / 3


def in_two_steps(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> Found:
    x, w = hidden.double().requires_grad_(), weight.double().requires_grad_()
    value = F.cross_entropy(x @ w.T, targets)
    value.backward()
    assert x.grad is not None
    assert w.grad is not None
    return value.detach(), x.grad, w.grad


@examples(40)
@given(
    st.integers(1, 70), st.integers(1, 9), st.integers(2, 40), st.integers(0, 999), st.sampled_from([0.01, 1.0, 300.0])
)
def test_loss_and_gradients_are_those_of_two_steps(
    rows: int, width: int, vocabulary: int, seed: int, scale: float
) -> None:
    given_inputs = inputs(rows, width, vocabulary, seed, scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "CPU_LOGITS", 64)
        patch.setattr(loss, "FEWEST_ROWS", 3)  # several parts, the last one short
        found = fused(*given_inputs, torch.float32)
    for ours, theirs in zip(found, in_two_steps(*given_inputs), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6 * max(1.0, scale))


@pytest.mark.parametrize(("rows", "vocabulary"), [(512, 2048), (600, 9001)])
def test_bfloat16_is_accurate_to_its_precision(rows: int, vocabulary: int) -> None:
    given_inputs = inputs(rows, 64, vocabulary, seed=1)
    found, exact = fused(*given_inputs, torch.bfloat16), in_two_steps(*given_inputs)
    assert float(found[0]) == pytest.approx(float(exact[0]), rel=2e-3)
    for ours, theirs in zip(found[1:], exact[1:], strict=True):
        assert float((ours.double() - theirs).norm() / theirs.norm()) < 0.01


def test_results_are_reproducible_bit_for_bit() -> None:
    given_inputs = inputs(700, 32, 3000, seed=2)
    for one, other in zip(fused(*given_inputs, torch.float32), fused(*given_inputs, torch.float32), strict=True):
        assert torch.equal(one, other)
