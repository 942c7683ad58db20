import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.data.overlap.windows import TokenHasher, join_hashes

VOCABULARY = 50
TEXTS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=200).map(lambda ids: np.array(ids, np.uint16))


def hash_of(ids: np.ndarray) -> int:
    """The hash of a text, by its definition."""
    every = np.arange(VOCABULARY)
    values = TokenHasher(VOCABULARY).spans(every).of(every, every + 1)
    base = 0x9E3779B97F4A7C15
    return sum(int(values[token]) * pow(base, i, 2**64) for i, token in enumerate(ids)) % 2**64


@given(TEXTS, st.data())
def test_the_hash_of_a_span_depends_on_its_tokens_alone(text: np.ndarray, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, text.size))
    end = data.draw(st.integers(start, text.size))
    spans = TokenHasher(VOCABULARY).spans(text)
    [found] = spans.of(np.array([start]), np.array([end]))
    assert int(found) == hash_of(text[start:end])


@given(TEXTS, st.lists(st.integers(0, 200), max_size=6))
def test_a_text_has_one_hash_however_it_is_divided(text: np.ndarray, cuts: list[int]) -> None:
    ends = np.array(sorted({min(cut, text.size) for cut in cuts} | {text.size}))
    starts = np.append(0, ends[:-1])
    parts = TokenHasher(VOCABULARY).spans(text).of(starts, ends)
    [whole] = join_hashes(parts, ends - starts, np.array([0]))
    assert int(whole) == hash_of(text)


def test_several_texts_are_joined_at_once() -> None:
    text = np.arange(40) % 7
    starts, ends = np.array([0, 5, 9, 20, 21]), np.array([5, 9, 20, 21, 40])
    parts = TokenHasher(VOCABULARY).spans(text).of(starts, ends)
    joined = join_hashes(parts, ends - starts, np.array([0, 2, 3]))
    assert [int(value) for value in joined] == [hash_of(text[a:b]) for a, b in ((0, 9), (9, 20), (20, 40))]


def test_hashes_of_different_windows_differ() -> None:
    text = np.random.default_rng(0).integers(0, 4, 20_000)
    starts = np.arange(text.size - 8)
    hashes = TokenHasher(4).spans(text).of(starts, starts + 8)
    windows = np.lib.stride_tricks.sliding_window_view(text, 8)[: starts.size]
    assert np.unique(hashes).size == np.unique(windows, axis=0).shape[0]
