from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.identity import seed_of
from olmix_core.mixture import apportion, natural
from olmix_core.proxies.sequences import LeafStream, Sequences, schedule
from tests.support.corpora import checked
from tests.support.properties import examples


def corpus_of(lengths: list[int], gap: int = 0) -> Corpus:
    """A corpus whose passages have these lengths; token values tell where they lie. `gap`: held out between them."""
    ends = np.cumsum(np.array(lengths) + gap)
    tokens = np.arange(ends[-1], dtype=np.uint32)
    return Corpus(checked(tokens), ends - np.array(lengths), ends, (), np.zeros(0, np.int64))


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=20)


@given(lengths, st.integers(0, 3), st.integers(0, 4))
def test_every_passage_is_read_once_per_epoch(sizes: list[int], gap: int, epoch: int) -> None:
    corpus = corpus_of(sizes, gap)
    stream = LeafStream(corpus, "leaf")
    read = stream.read(epoch * stream.tokens_per_epoch, stream.tokens_per_epoch)
    passages = {int(s): list(range(s, e)) for s, e in zip(corpus.starts, corpus.ends, strict=True)}
    position = 0
    while position < read.size:
        passage = passages.pop(int(read[position]))
        assert read[position : position + len(passage)].tolist() == passage
        position += len(passage)
    assert not passages


@given(lengths, st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 300))
def test_the_stream_does_not_depend_on_how_it_is_read(sizes: list[int], chunks: list[int], start: int) -> None:
    stream = LeafStream(corpus_of(sizes), "leaf")
    parts, position = [], start
    for chunk in chunks:
        parts.append(stream.read(position, chunk))
        position += chunk
    whole = LeafStream(corpus_of(sizes), "leaf").read(start, sum(chunks))
    assert np.concatenate(parts).tolist() == whole.tolist()


@given(lengths, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), min_size=1, max_size=8))
def test_reading_back_and_forth_changes_nothing(sizes: list[int], reads: list[tuple[int, int]]) -> None:
    stream = LeafStream(corpus_of(sizes), "leaf")
    whole = LeafStream(corpus_of(sizes), "leaf").read(0, 400)
    for start, count in reads:
        assert stream.read(start, count).tolist() == whole[start : start + count].tolist()


def test_order_differs_between_epochs_and_leaves() -> None:
    corpus = corpus_of([3] * 200)
    orders = set()
    for leaf in ("a", "b"):
        for epoch in range(3):
            orders.add(tuple(LeafStream(corpus, leaf).read(600 * epoch, 600).tolist()))
    assert len(orders) == 6


def test_the_order_is_shuffled() -> None:
    firsts = LeafStream(corpus_of([1] * 1000), "a").read(0, 1000)
    assert abs(float(np.corrcoef(firsts, np.arange(1000))[0, 1])) < 0.15


def test_empty_passages_are_skipped() -> None:
    assert sorted(LeafStream(corpus_of([2, 0, 3, 0]), "a").read(0, 5).tolist()) == [0, 1, 2, 3, 4]


# Where in training a leaf's sequences come


parts = st.lists(st.integers(0, 100), min_size=1, max_size=12).filter(any)


@given(parts, st.integers(1, 400), st.integers(0, 100))
def test_every_prefix_of_training_is_nearly_the_mixture(weights: list[int], sequences: int, seed: int) -> None:
    q = natural(weights)
    leaves = [f"leaf{i}" for i in range(q.size)]
    owners = schedule(q, sequences, leaves, seed)
    counts = apportion(q, sequences)
    assert np.bincount(owners, minlength=q.size).tolist() == counts.tolist()
    so_far = np.cumsum(owners[:, None] == np.arange(q.size), axis=0)
    expected = np.arange(1, sequences + 1)[:, None] * counts / sequences
    # Each leaf is within one of its place, and so all together within their number, shared out.
    present = np.count_nonzero(counts)
    assert np.all(np.abs(so_far - expected) <= 1 + counts / sequences * present + 1e-9)


def test_prefixes_are_within_two_sequences_of_a_usual_mixture() -> None:
    q = natural([40, 30, 15, 10, 5])
    for seed in range(20):
        owners = schedule(q, 512, list("abcde"), seed)
        so_far = np.cumsum(owners[:, None] == np.arange(5), axis=0)
        assert np.abs(so_far - np.arange(1, 513)[:, None] * q).max() <= 2


def test_places_depend_on_leaf_and_seed_only() -> None:
    assert (
        schedule(np.array([0.5, 0.5]), 40, ["a", "b"], 1).tolist()
        == (schedule(np.array([0.5, 0.0, 0.5]), 40, ["a", "x", "b"], 1) // 2).tolist()
    )
    assert len({tuple(schedule(np.array([0.3, 0.7]), 40, ["a", "b"], seed).tolist()) for seed in range(8)}) > 1


def test_proxies_see_the_same_text_of_a_leaf_in_the_same_order() -> None:
    corpora = {leaf: corpus_of([5 + i % 3 for i in range(60)], gap=i) for i, leaf in enumerate("abc")}
    seen: list[dict[str, list[int]]] = []
    for weights in ([0.2, 0.5, 0.3], [0.6, 0.1, 0.3]):
        streams = [LeafStream(corpora[leaf], leaf) for leaf in "abc"]
        taken: Counter[int] = Counter()
        text: dict[str, list[int]] = {leaf: [] for leaf in "abc"}
        for owner in schedule(np.array(weights), 60, list("abc"), 0).tolist():
            text["abc"[owner]] += streams[owner].read(taken[owner] * 10, 10).tolist()
            taken[owner] += 1
        seen.append(text)
    for leaf in "abc":
        shared = min(len(text[leaf]) for text in seen)
        assert shared >= 60
        assert seen[0][leaf][:shared] == seen[1][leaf][:shared]
    assert seen[0]["c"] == seen[1]["c"]


def test_generators_depend_on_all_their_keys() -> None:
    draws = {seed_of(*p).random() for p in [("a", 1), ("a", 2), ("b", 1), ("a", "b", 1), ("ab", 1), (1, "a")]}
    assert len(draws) == 6
    assert seed_of("a", 1).random() == pytest.approx(seed_of("a", 1).random(), abs=0)


# A share of a leaf


@given(lengths, st.floats(0.01, 1.0), st.integers(0, 3))
def test_a_share_of_a_leaf_has_its_number_of_tokens_and_repeats(sizes: list[int], share: float, gap: int) -> None:
    corpus = corpus_of(sizes, gap)
    wanted = round(share * sum(sizes))
    if wanted == 0:
        return
    stream = LeafStream(corpus, "leaf", share)
    assert stream.tokens_per_epoch == wanted
    first, second = (stream.read(epoch * wanted, wanted).tolist() for epoch in range(2))
    assert len(set(first)) == wanted
    assert set(first) == set(second)
    assert set(first) <= set(LeafStream(corpus, "leaf").read(0, sum(sizes)).tolist())


def test_a_larger_share_contains_a_smaller_one() -> None:
    corpus = corpus_of([7] * 50)
    seen = [set(LeafStream(corpus, "leaf", share).read(0, round(350 * share)).tolist()) for share in (0.1, 0.5, 1.0)]
    assert seen[0] < seen[1] < seen[2]


@given(lengths, st.integers(0, 200), st.integers(1, 60))
def test_passage_numbers_change_where_the_text_does(sizes: list[int], start: int, count: int) -> None:
    stream = LeafStream(corpus_of(sizes), "leaf")
    tokens, passages = stream.read(start, count), stream.passages(start, count)
    assert passages.tolist() == LeafStream(corpus_of(sizes), "leaf").passages(0, start + count)[start:].tolist()
    starts = {0, *np.cumsum(sizes).tolist()}
    for i in range(1, count):
        if passages[i] == passages[i - 1]:
            assert tokens[i] == tokens[i - 1] + 1
        else:
            assert passages[i] > passages[i - 1]
            assert int(tokens[i]) in starts


# What a mixture becomes

LENGTH = 16


@st.composite
def wishes(draw: st.DrawFn) -> tuple[dict[str, Corpus], dict[str, float], ProxyRecipe, float]:
    """Leaves of random documents, a mixture that keeps each below `repetition` epochs, and a recipe."""
    count = draw(st.integers(1, 6))
    documents = st.lists(st.integers(1, 60), min_size=4, max_size=40).filter(lambda s: sum(s) > 40)
    sizes = [draw(documents) for _ in range(count)]
    available = np.array([sum(size) for size in sizes])
    steps, rows = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    total = steps * rows * LENGTH
    repetition = draw(st.floats(0.5, 6.0))
    most = np.minimum(1.0, repetition * available / total)
    if most.sum() < 1:
        repetition = total / float(available.sum())
        most = np.minimum(1.0, repetition * available / total)
    raw = np.array([draw(st.floats(0.0, 1.0)) for _ in range(count)])
    # Between 0 and the caps: what is missing to 1 goes where there is room.
    low = raw * most / max(1.0, float((raw * most).sum()))
    weights = low + (1 - low.sum()) * (most - low) / max(1e-300, float((most - low).sum()))
    corpora = {f"leaf{i}": corpus_of(size, gap=i) for i, size in enumerate(sizes)}
    mixture = {f"leaf{i}": float(w) for i, w in enumerate(weights) if w > 1e-9}
    recipe = ProxyRecipe(layers=1, width=16, heads=1, sequence_length=LENGTH, batch_size=rows, tokens=total)
    return corpora, mixture, recipe, repetition


@examples(60)
@given(wishes(), st.integers(0, 1))
def test_sequences_follow_the_mixture(
    wish: tuple[dict[str, Corpus], dict[str, float], ProxyRecipe, float], attempt: int
) -> None:
    corpora, mixture, recipe, repetition = wish
    data = Sequences(mixture, corpora, recipe, attempt)
    owner = {leaf: (index + 1) * 1_000_000 for index, leaf in enumerate(sorted(mixture))}
    marked = {
        leaf: Corpus(
            checked(corpora[leaf].tokens[:] + owner[leaf]),
            corpora[leaf].starts,
            corpora[leaf].ends,
            (),
            np.zeros(0, int),
        )
        for leaf in mixture
    }
    drawn = np.concatenate([Sequences(mixture, marked, recipe, attempt).batch(s)[:, :-1] for s in range(recipe.steps)])
    assert drawn.size == recipe.tokens
    for leaf, weight in mixture.items():
        rows = drawn[drawn[:, 0] // 1_000_000 == owner[leaf] // 1_000_000]
        assert np.all(rows // 1_000_000 == owner[leaf] // 1_000_000)  # a sequence lies within one leaf
        # As many tokens as asked for, to within one sequence.
        assert rows.size == data.tokens[leaf]
        assert abs(rows.size - weight * drawn.size) <= LENGTH + 1e-6
        # No token, and so no document, comes again before all have come once; and none beyond the cap.
        available = int((corpora[leaf].ends - corpora[leaf].starts).sum())
        times = np.unique(rows, return_counts=True)[1]
        whole, rest = divmod(rows.size, available)
        assert times.max(initial=0) <= whole + (rest > 0)
        if whole:
            assert times.size == available
            assert times.min() >= whole
        assert data.epochs[leaf] == pytest.approx(rows.size / available)
        assert data.epochs[leaf] <= repetition + LENGTH / available + 1e-6


def test_another_attempt_draws_the_same_sequences_in_another_order() -> None:
    corpora = {leaf: corpus_of([5 + i % 3 for i in range(60)], gap=i) for i, leaf in enumerate("abc")}
    recipe = ProxyRecipe(layers=1, width=16, heads=1, sequence_length=LENGTH, batch_size=2, tokens=LENGTH * 40)
    attempts = [Sequences(dict.fromkeys("abc", 1 / 3), corpora, recipe, attempt) for attempt in range(2)]
    both = [[tuple(row) for step in range(20) for row in data.batch(step)] for data in attempts]
    assert both[0] != both[1]
    assert sorted(both[0]) == sorted(both[1])
