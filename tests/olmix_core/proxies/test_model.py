from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.proxies import model as model_module
from olmix_core.proxies.model import Transformer, attend, causal_mask, rms_norm, rotary_table, rotate
from tests.support.properties import examples

RECIPE = ProxyRecipe(layers=2, width=32, heads=4, sequence_length=24, batch_size=2, tokens=1024)
VOCABULARY = 50


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(**changes: int) -> Transformer:
    return Transformer(RECIPE.model_copy(update=changes), VOCABULARY).eval()


MODEL = model_of()


def some_ids(length: int = 24, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


@examples(20)
@given(st.integers(0, 23), st.integers(0, VOCABULARY - 1), st.integers(0, 1000))
def test_attention_is_causal(position: int, token: int, seed: int) -> None:
    ids = some_ids(seed=seed)
    changed = ids.clone()
    changed[0, position] = token
    with torch.inference_mode():
        before, after = MODEL(ids)[0], MODEL(changed)[0]
    assert torch.equal(before[:position], after[:position])
    if token != ids[0, position]:
        assert not torch.allclose(before[position:], after[position:])


def test_every_position_attends_to_all_earlier_ones() -> None:
    ids = some_ids()
    embedded = MODEL.embedding(ids).detach().requires_grad_()
    x = rms_norm(embedded)
    for block in MODEL.blocks:
        x, _ = block(x, MODEL.cos, MODEL.sin)
    x[0, -1].sum().backward()
    assert embedded.grad is not None
    assert (embedded.grad[0].abs().sum(dim=1) > 0).all()


def test_a_shorter_text_has_the_same_logits() -> None:
    ids = some_ids()
    with torch.inference_mode():
        torch.testing.assert_close(MODEL(ids[:, :9]), MODEL(ids)[:, :9])


def test_rows_of_a_batch_do_not_mix() -> None:
    ids = some_ids(batch=3)
    with torch.inference_mode():
        alone = torch.cat([MODEL(ids[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(MODEL(ids), alone)


def test_the_order_of_earlier_tokens_matters() -> None:
    ids = some_ids()
    swapped = ids.clone()
    swapped[0, 3], swapped[0, 11] = ids[0, 11], ids[0, 3]
    with torch.inference_mode():
        assert not torch.allclose(MODEL(ids)[0, -1], MODEL(swapped)[0, -1], atol=1e-4)


@pytest.mark.parametrize("before", [1, 9, 20])
def test_a_prefix_read_once_gives_the_same_hidden_states(before: int) -> None:
    prefix, rows = some_ids(before), some_ids(24 - before, batch=3, seed=5)
    whole = torch.cat([prefix.expand(3, -1), rows], dim=1)
    with torch.inference_mode():
        found = MODEL.hidden(rows, past=MODEL.read(prefix))
        torch.testing.assert_close(found, MODEL.hidden(whole)[:, before:])


def test_masked_positions_have_no_effect() -> None:
    ids = some_ids(batch=2)
    mask = causal_mask(24, 0, ids.device)[None, None].repeat(2, 1, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(MODEL.hidden(ids, mask), MODEL.hidden(ids))
        mask[1, :, 10:, :10] = False  # a new document begins at 10
        found = MODEL.hidden(ids, mask)
        torch.testing.assert_close(found[0], MODEL.hidden(ids)[0])
        # Distances alone matter, so that a document sees itself as if it stood alone.
        torch.testing.assert_close(found[1, 10:], MODEL.hidden(ids[1:, 10:])[0])


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_equals_the_fused_kernel(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 20, 8, generator=generator).bfloat16().requires_grad_() for _ in range(3))
    early = torch.arange(20) < 7
    mask = causal_mask(20, 0, q.device) & (early[:, None] == early) if masked else None
    found = []
    for longest in (20, 19):  # written out, and fused
        monkeypatch.setattr(model_module, "PLAIN_LENGTH", longest)
        y = attend(q, k, v, mask)
        found.append((y, *torch.autograd.grad(y.float().square().sum(), (q, k, v))))
    for plain, fused in zip(*found, strict=True):
        assert plain.dtype == torch.bfloat16
        torch.testing.assert_close(plain, fused, rtol=0.05, atol=0.05)


# Rotary positions


@examples(30)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 20), st.integers(0, 1000))
def test_rotated_products_depend_on_the_distance_alone(i: int, j: int, shift: int, seed: int) -> None:
    cos, sin = rotary_table(64, 16)
    q, k = torch.randn(2, 16, generator=torch.Generator().manual_seed(seed))

    def product(at: int, to: int) -> float:
        return float(rotate(q, cos[at], sin[at]) @ rotate(k, cos[to], sin[to]))

    assert product(i, j) == pytest.approx(product(i + shift, j + shift), abs=1e-4)
    if i != j:
        assert product(i, j) != pytest.approx(product(i, i), abs=1e-6)


def test_rotation_keeps_lengths_and_leaves_the_first_position() -> None:
    cos, sin = rotary_table(32, 8)
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotate(x, cos, sin).norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(rotate(x, cos, sin)[0], x[0])


# Weights


def test_initial_weights_depend_on_the_recipe_alone() -> None:
    torch.manual_seed(1)
    first = model_of().state_dict()
    torch.manual_seed(2)
    second, other = model_of().state_dict(), model_of(seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
    assert len({tensor.flatten()[:4].sum().item() for name, tensor in first.items() if tensor.ndim == 2}) == 9


def test_initial_weights_have_the_scale_of_their_width() -> None:
    weights = Transformer(RECIPE.model_copy(update={"width": 256}), 2000).state_dict()
    assert float(weights["embedding.weight"].std()) == pytest.approx(1 / 16, rel=0.02)
    assert float(weights["blocks.0.attention.qkv.weight"].std()) == pytest.approx(1 / 16, rel=0.02)
    assert float(weights["blocks.1.attention.out.weight"].std()) == pytest.approx(1 / 16 / 2, rel=0.02)


def test_the_output_layer_is_the_embedding() -> None:
    hidden = 96  # 32 x 8/3, rounded up to a multiple of 16
    block = 4 * 32 * 32 + 3 * 32 * hidden + 2 * 32
    assert sum(p.numel() for p in MODEL.parameters()) == VOCABULARY * 32 + 2 * block + 32
    # What is learnt of a token as input changes what is said of it as output.
    model = model_of()
    with torch.inference_mode():
        before = model(some_ids())
        model.embedding.weight[7] *= 2
        after = model(some_ids())
    unseen = [i for i in range(24) if 7 not in some_ids()[0, : i + 1]]
    torch.testing.assert_close(after[0, unseen, 7], 2 * before[0, unseen, 7])
