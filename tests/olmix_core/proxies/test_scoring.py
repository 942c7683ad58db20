"""Bits per byte, against a computation that scores one token at a time."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.data.tasks import Item
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, train_bpe
from olmix_core.errors import EvaluationError
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import check_finite, score_heldout, score_items, score_text, standard_error
from tests.support.corpora import checked
from tests.support.properties import examples

LENGTH = 16
RECIPE = ProxyRecipe(layers=1, width=16, heads=2, sequence_length=LENGTH, batch_size=1, tokens=1024, seed=3)
TOKENIZERS = {"bytes": byte_tokenizer(), "bpe": train_bpe(["the cat sat on the mat with another cat"] * 10, 300)}
MODELS = {name: Transformer(RECIPE, tokenizer.vocab_size).eval() for name, tokenizer in TOKENIZERS.items()}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bits_one_by_one(model: Transformer, ids: Sequence[int], first: int) -> float:
    """-log2 p of ids[first:], each token alone in a call of its own.

    Where all of them fit, the model sees the last LENGTH tokens at the end; else they are scored in pieces of LENGTH
    and each piece sees one token before it.
    """
    bits = 0.0
    for target in range(first, len(ids)):
        if len(ids) - first <= LENGTH:
            start = max(0, len(ids) - LENGTH - 1)
        else:
            start = first + (target - first) // LENGTH * LENGTH - 1
        with torch.inference_mode():
            logits = model(torch.tensor([list(ids[start:target])]))[0, -1].double()
        bits -= float(torch.log_softmax(logits, 0)[ids[target]]) / math.log(2)
    return bits


def bpb_of_items(model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int) -> float:
    score = score_items(model, tokenizer, items, length)
    assert (score.documents, score.standard_error) == (len(items), None)
    return score.bpb


def bpb_of_heldout(model: Transformer, tokenizer: Tokenizer, corpora: Sequence[Corpus], length: int) -> float:
    return score_heldout(model, tokenizer, corpora, length).bpb


def brute_force(kind: str, items: Sequence[Item]) -> float:
    tokenizer, found = TOKENIZERS[kind], []
    for item in items:
        context, continuation = (ids.tolist() for ids in tokenizer.encode([item.context, item.continuation]))
        ids = [tokenizer.eos, *context, *continuation]
        found.append(bits_one_by_one(MODELS[kind], ids, 1 + len(context)) / len(item.continuation.encode()))
    return sum(found) / len(found)


ITEMS = {
    "short": Item("the cat ", "sat"),
    "no context": Item("", "the cat"),
    "one byte": Item("the", " "),
    "more bytes than characters": Item("the ", "Käße 🙂"),
    "just fits": Item("t" * 9, "he cat"),
    "context cut": Item("the cat sat on the mat and looked ", "around"),
    "continuation as long as a window": Item("the cat sat on a mat, ", "0123456789abcdef"),
    "continuation one longer": Item("the cat sat on a mat, ", "0123456789abcdefg"),
    "continuation of many windows": Item("the ", "cat sat on the mat with another cat, " * 5),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", ITEMS)
def test_scores_equal_those_of_one_token_at_a_time(kind: str, name: str) -> None:
    bpb = bpb_of_items(MODELS[kind], TOKENIZERS[kind], [ITEMS[name]], LENGTH)
    assert bpb == pytest.approx(brute_force(kind, [ITEMS[name]]), rel=1e-5)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_score_is_the_mean_over_documents(kind: str) -> None:
    items = list(ITEMS.values())
    bpb = bpb_of_items(MODELS[kind], TOKENIZERS[kind], items, LENGTH)
    assert bpb == pytest.approx(brute_force(kind, items), rel=1e-5)
    assert bpb == pytest.approx(bpb_of_items(MODELS[kind], TOKENIZERS[kind], items[::-1], LENGTH), rel=1e-6)


@examples(15)
@given(st.lists(st.builds(Item, st.text(max_size=30), st.text(min_size=1, max_size=40)), min_size=1, max_size=3))
def test_scores_of_any_text_equal_those_of_one_token_at_a_time(items: list[Item]) -> None:
    assert bpb_of_items(MODELS["bytes"], TOKENIZERS["bytes"], items, LENGTH) == pytest.approx(
        brute_force("bytes", items), rel=1e-5
    )


def test_only_the_context_that_fits_matters() -> None:
    def bpb(context: str) -> float:
        return bpb_of_items(MODELS["bytes"], TOKENIZERS["bytes"], [Item(context, "abcd")], LENGTH)

    assert bpb("x" * 50 + " the cat sat ") == pytest.approx(bpb("y" * 70 + " the cat sat "))
    assert bpb("the cat sat ") != pytest.approx(bpb("the mat sat "))


def test_a_uniform_model_needs_all_bits() -> None:
    model = Transformer(RECIPE, 257)
    with torch.no_grad():
        model.embedding.weight.zero_()
    bpb = bpb_of_items(model, TOKENIZERS["bytes"], [Item("a", "some text"), Item("", "ä" * 40)], LENGTH)
    assert bpb == pytest.approx(math.log2(257))


# Held-out text


def corpus_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Corpus:
    """A corpus that holds these texts out."""
    nothing = np.zeros(0, np.int64)
    heldout = tuple(np.append(ids, tokenizer.eos) for ids in tokenizer.encode(list(texts)))
    sizes = np.array([len(text.encode()) for text in texts], np.int64)
    return Corpus(checked(np.zeros(0, np.uint16)), nothing, nothing, heldout, sizes)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_heldout_text_is_all_bits_over_all_bytes(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    leaves = [["the cat sat", "on"], ["the mat with another cat, größer als die anderen " * 3]]
    bits = sum(
        bits_one_by_one(MODELS[kind], [tokenizer.eos, *ids.tolist(), tokenizer.eos], 1)
        for ids in tokenizer.encode([text for leaf in leaves for text in leaf])
    )
    size = sum(len(text.encode()) for leaf in leaves for text in leaf)
    corpora = [corpus_of(tokenizer, leaf) for leaf in leaves]
    assert bpb_of_heldout(MODELS[kind], tokenizer, corpora, LENGTH) == pytest.approx(bits / size, rel=1e-5)


def test_leaves_count_by_their_bytes() -> None:
    tokenizer, model = TOKENIZERS["bytes"], MODELS["bytes"]
    small, large = corpus_of(tokenizer, ["aaaa"]), corpus_of(tokenizer, ["the cat sat on the mat", "zzz"])
    one, other = (bpb_of_heldout(model, tokenizer, [corpus], LENGTH) for corpus in (small, large))
    both = bpb_of_heldout(model, tokenizer, [small, large], LENGTH)
    assert both == pytest.approx((4 * one + 25 * other) / 29)
    assert one != pytest.approx(other)


# Batches


@pytest.mark.parametrize("at_once", [1, 40, 100_000])
def test_scores_do_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    items = list(ITEMS.values())
    tokenizer, model = TOKENIZERS["bpe"], MODELS["bpe"]
    corpus = corpus_of(tokenizer, [item.continuation for item in items])
    expected = bpb_of_items(model, tokenizer, items, LENGTH), bpb_of_heldout(model, tokenizer, [corpus], LENGTH)
    largest: list[int] = []
    handle = model.blocks[0].register_forward_pre_hook(
        lambda module, inputs: largest.append(inputs[0].numel() // RECIPE.width)
    )
    monkeypatch.setattr("olmix_core.proxies.scoring.TOKENS_AT_ONCE", at_once)
    try:
        found = bpb_of_items(model, tokenizer, items, LENGTH), bpb_of_heldout(model, tokenizer, [corpus], LENGTH)
    finally:
        handle.remove()
    assert found == pytest.approx(expected, rel=1e-6)
    assert max(largest) <= max(at_once, LENGTH + 1)
    assert (len(largest) == 2) == (at_once == 100_000)


# A beginning in common


LONG = RECIPE.model_copy(update={"sequence_length": 256})
LONG_MODEL = Transformer(LONG, 257).eval()
SHOTS = "Question: the cat sat on what? Answer: the mat\n\n"


def work_of(items: Sequence[Item]) -> tuple[float, int]:
    """BPB, and the tokens that went through the model for it."""
    seen: list[int] = []
    handle = LONG_MODEL.blocks[0].register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].numel() // LONG.width)
    )
    try:
        bpb = bpb_of_items(LONG_MODEL, TOKENIZERS["bytes"], items, LONG.sequence_length)
    finally:
        handle.remove()
    return bpb, sum(seen)


def alone(items: Sequence[Item]) -> float:
    return sum(bpb_of_items(LONG_MODEL, TOKENIZERS["bytes"], [item], 256) for item in items) / len(items)


def test_a_shared_prefix_is_read_once() -> None:
    items = [Item(f"{SHOTS * 3}Question: {i}? Answer:", f" {'ab' * (i + 1)}") for i in range(6)]
    bpb, work = work_of(items)
    assert bpb == pytest.approx(alone(items), rel=1e-6)
    assert work < 150 + 6 * 40


def test_documents_share_prefixes_within_groups() -> None:
    # Two subjects, one document that is cut at the left, one without context, one that is all beginning.
    items = [Item(f"{subject} {SHOTS * 3}{i}:", f" {i * 7}") for subject in ("anatomy", "virology") for i in range(4)]
    items += [Item("x" * 400, " y"), Item("", "anatomy"), Item(f"anatomy {SHOTS * 3}", "0"), Item("anat", "omy " * 100)]
    bpb, work = work_of(items)
    assert bpb == pytest.approx(alone(items), rel=1e-6)
    assert work < 1500  # of 13 documents of 100 to 400 tokens


@examples(25)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.text("ab", max_size=40), st.text("abc", min_size=1, max_size=6)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 20),
)
def test_sharing_does_not_change_scores(parts: list[tuple[int, str, str]], shared: int) -> None:
    items = [Item("the cat sat on the mat. " * count + context, text) for count, context, text in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("olmix_core.proxies.scoring.SHARED_TOKENS", shared)
        assert work_of(items)[0] == pytest.approx(alone(items), rel=1e-5)


# Samples and plain text


def test_samples_have_a_standard_error() -> None:
    tokenizer, model = TOKENIZERS["bytes"], MODELS["bytes"]
    items = [Item("the ", "cat" * (i % 5 + 1)) for i in range(20)]
    each = [bpb_of_items(model, tokenizer, [item], LENGTH) for item in items[:8]]
    score = score_items(model, tokenizer, items[:8], LENGTH, population=20)
    assert score.documents == 8
    assert score.bpb == pytest.approx(np.mean(each), rel=1e-5)
    # Simple random sampling without replacement (Cochran 1977, theorem 2.2).
    assert score.standard_error == pytest.approx(np.std(each, ddof=1) / 8**0.5 * (1 - 8 / 20) ** 0.5, rel=1e-4)
    assert score_items(model, tokenizer, items[:1], LENGTH, population=20).standard_error is None


def test_the_standard_error_matches_resampling() -> None:
    bpb = np.random.default_rng(0).gamma(2.0, size=60)
    random = np.random.default_rng(1)
    draws = [random.permutation(bpb)[:20] for _ in range(4000)]
    told = np.sqrt(np.mean([(standard_error(draw, 60) or np.nan) ** 2 for draw in draws]))
    assert told == pytest.approx(np.std([draw.mean() for draw in draws]), rel=0.05)


def test_plain_text_is_all_bits_over_all_bytes() -> None:
    tokenizer, model = TOKENIZERS["bpe"], MODELS["bpe"]
    texts = ["the cat sat on the mat " * 3, "größer", ""]
    bits = sum(
        bits_one_by_one(model, [tokenizer.eos, *ids.tolist()], 1) for ids in tokenizer.encode([t for t in texts if t])
    )
    score = score_text(model, tokenizer, iter(texts), LENGTH)
    assert score.bpb == pytest.approx(bits / sum(len(text.encode()) for text in texts), rel=1e-5)
    assert math.isnan(score_text(model, tokenizer, [], LENGTH).bpb)


# What is no number


@pytest.mark.parametrize("bpb", [float("nan"), float("inf"), -float("inf"), 0.0, -1.0])
def test_errors_of_scores_name_run_and_task(bpb: float) -> None:
    with pytest.raises(
        EvaluationError, match=r"proxy 0123456789ab on task 'arc': BPB is .*; expected a positive number"
    ):
        check_finite(bpb, "0123456789abcdef", "arc")


def test_finite_scores_are_returned() -> None:
    assert check_finite(1.25, "x", "y") == 1.25


def test_a_broken_model_has_no_score() -> None:
    model = Transformer(RECIPE, 257)
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    with pytest.raises(EvaluationError):
        check_finite(bpb_of_items(model, TOKENIZERS["bytes"], [Item("a", "b")], LENGTH), "x", "y")
