import numpy as np
import pytest

from olmix_core.data.overlap.piece_index import PieceIndex, Proposal, covered
from olmix_core.data.overlap.protected import Piece, ProtectedPassage
from olmix_core.data.overlap.windows import TokenHasher

VOCABULARY = 300
HASHER = TokenHasher(VOCABULARY)


def text(seed: int, size: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, size)


def passage(ids: np.ndarray, source: str = "leaf", *, piece: bool = True) -> ProtectedPassage:
    return ProtectedPassage(source, ids, ids.size, (Piece(0, ids.size),) if piece else ())


def index_of(*passages: ProtectedPassage) -> PieceIndex:
    return PieceIndex(passages, HASHER, 3.2)


def proposals(index: PieceIndex, *looked_at: np.ndarray) -> list[Proposal]:
    """What is proposed for passages, which are looked at in windows from their beginnings."""
    joined = np.concatenate(looked_at)
    before, starts, owners = 0, [], []
    for number, ids in enumerate(looked_at):
        starts += [before + start for start in range(0, ids.size - index.window + 1, index.window)]
        owners += [number] * (ids.size // index.window)
        before += ids.size
    first = np.cumsum([0, *(ids.size for ids in looked_at)])
    places, passages = np.array(starts), np.array(owners)
    return index.propose(HASHER.spans(joined).of(places, places + index.window), places - first[passages], passages)


def held(index: PieceIndex, ids: np.ndarray, leaf: str = "other") -> bool:
    return any(index.is_held(proposal, leaf, ids) for proposal in proposals(index, ids))


@pytest.mark.parametrize("shift", range(9))
def test_a_copy_is_found_whatever_its_alignment(shift: int) -> None:
    index = index_of(passage(text(0)), passage(text(1)))
    assert index.window == 8
    ids = np.concatenate([text(2, 500), text(1), text(3, 50)])[shift:]
    [proposal] = proposals(index, text(4), ids, text(5))
    assert (proposal.passage, proposal.piece, proposal.diagonals[0]) == (1, 1, 500 - shift)
    assert index.is_held(proposal, "other", ids)


@pytest.mark.parametrize(("kept", "expected"), [(1.0, True), (0.8, True), (0.7, False), (0.3, False)])
def test_most_of_a_piece_counts_in_another_leaf(kept: float, expected: bool) -> None:
    ids = np.concatenate([text(9), text(0)[: round(kept * 400)]])
    assert held(index_of(passage(text(0))), ids) is expected
    assert held(index_of(passage(text(0))), ids, leaf="leaf") is (kept == 1.0)


def test_text_of_two_sources_is_not_the_leafs_own() -> None:
    index = index_of(passage(text(0)), passage(text(0), "task"))
    assert index.sources == [{"leaf", "task"}]
    assert held(index, text(0)[:320], leaf="leaf")


def test_edited_copies_are_found() -> None:
    edited = np.delete(text(0), [60, 130, 200, 270, 340])
    assert held(index_of(passage(text(0))), edited)


def test_text_without_anything_in_common_is_not_proposed() -> None:
    index = index_of(passage(text(0)))
    assert proposals(index, text(1), text(2, 5000)) == []
    assert proposals(index_of(), text(1)) == []
    assert proposals(index_of(passage(text(0), piece=False)), text(0)) == []


def test_common_windows_propose_nothing_and_repetitive_pieces_are_left() -> None:
    header = text(0, 150)
    documents = [passage(np.concatenate([header, text(n)])) for n in range(1, 30)]
    index = index_of(*documents, passage(np.tile(text(50, 10), 40)))
    assert proposals(index, np.concatenate([header, text(99, 300)]), np.tile(text(50, 10), 60)) == []
    assert held(index, np.concatenate([header, text(7)]))


def test_a_collision_of_hashes_is_no_copy() -> None:
    index = index_of(passage(text(0)))
    [proposal] = proposals(index, text(0))
    assert not index.is_held(proposal, "other", text(1))


@pytest.mark.parametrize(
    ("diagonals", "shortest", "expected"),
    [([0], 4, 0), ([2], 4, 6), ([2, 1], 4, 10), ([2, 1], 5, 6), ([2, 2], 4, 6), ([50], 1, 0), ([-50], 1, 0)],
)
def test_tokens_in_runs_are_counted_once(diagonals: list[int], shortest: int, expected: int) -> None:
    # Of the tokens 0 to 11, the first six stand two further on, and the last four one further on.
    ids = np.concatenate([[20, 21], np.arange(6), [40], np.arange(8, 12)])
    assert covered(np.arange(12), ids, diagonals, shortest) == expected
