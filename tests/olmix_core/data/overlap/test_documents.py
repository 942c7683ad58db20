import numpy as np
import pytest

from olmix_core.data.overlap.documents import DocumentHashes, shared_documents


def hashes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64, endpoint=False)


def test_copies_within_a_leaf_are_counted() -> None:
    once = hashes(50, 0)
    counted = DocumentHashes.of(np.concatenate([once, once[:7], once[:2]]))
    assert (counted.documents, counted.different, counted.limit) == (59, 50, 1.0)
    assert counted.smallest.tolist() == sorted(once.tolist())


def test_small_leaves_are_compared_exactly() -> None:
    one, two = hashes(30, 1), hashes(40, 2)
    leaves = {
        "c": DocumentHashes.of(np.concatenate([one[:5], two[:11]])),
        "a": DocumentHashes.of(np.repeat(one, 2)),
        "b": DocumentHashes.of(two),
        "alone": DocumentHashes.of(hashes(9, 3)),
        "empty": DocumentHashes.of(hashes(0, 4)),
    }
    pairs = [(pair.leaves, pair.documents, pair.is_estimate) for pair in shared_documents(leaves)]
    assert pairs == [(("a", "c"), 5, False), (("b", "c"), 11, False)]
    assert shared_documents({}) == []


@pytest.mark.parametrize(("one", "two"), [(40_000, 40_000), (40_000, 5_000), (1_000, 60_000)])
def test_large_leaves_are_estimated(one: int, two: int) -> None:
    common = hashes(1000, 0)
    leaves = {
        name: DocumentHashes.of(np.concatenate([common, hashes(count - 1000, seed)]), kept=8192)
        for name, count, seed in (("a", one, 1), ("b", two, 2))
    }
    [pair] = shared_documents(leaves)
    assert pair.is_estimate
    # Of a sample of the share p, the count has a relative error of about sqrt((1 - p) / (1000 p)).
    assert pair.documents == pytest.approx(1000, rel=0.3)
