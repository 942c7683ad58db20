"""A leaf's corpus: tokenised once per content, with a slice held out that no proxy trains on.

A document is cut into *passages* (at white space, at most 16 KiB), the unit that is shuffled and held out.
`tokenise` writes a corpus, `open_corpus` reads it.

On disk, in the store, under the key of the leaf's statistics:

    tokens.bin             token ids of all passages, one after the other, smallest fitting type; a document ends in eos
    passages.safetensors   ends [n] of the passages in tokens.bin; heldout [h] indices, ascending; heldout_bytes [h];
                           checks of tokens.bin (see `olmix_core.storage.integrity`)

Passages that hold protected text of elsewhere (`olmix_core.data.overlap`) are not trained on either. They are listed in
a file of their own, since they depend on more than the leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import DamageError
from olmix_core.identity import digest
from olmix_core.serialization import JsonRecord
from olmix_core.storage.integrity import CheckedTokens, load_tensors, save_tensors
from olmix_core.storage.layout import PASSAGES_FILE, TOKENS_FILE, exclusion_path
from olmix_core.storage.store import Store

FILES = (TOKENS_FILE, PASSAGES_FILE)  # of a corpus
BATCH = 256  # passages encoded at once


@dataclass(frozen=True)
class LeafStatistics(JsonRecord):
    """Counts of a leaf.

    Attributes:
        documents: Documents.
        bytes: Bytes of text.
        tokens: Tokens, the end of each document included.
        heldout_tokens: Those of them that are held out.
        heldout_bytes: Bytes of text that are held out.
    """

    documents: int
    bytes: int
    tokens: int
    heldout_tokens: int
    heldout_bytes: int

    @property
    def available(self) -> int:
        """Tokens N_j that may be trained on."""
        return self.tokens - self.heldout_tokens

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text of a token, on average."""
        return self.bytes / self.tokens


@dataclass(frozen=True)
class PassageTable:
    """The index of a tokenised leaf.

    Attributes:
        starts: [n] first token of each passage.
        ends: [n] end of each passage.
        heldout: [h] passages that are held out, ascending.
        heldout_bytes: [h] bytes of text of each such passage.
        checks: Checksums of the tokens.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    heldout: NDArray[np.int64]
    heldout_bytes: NDArray[np.int64]
    checks: NDArray[np.uint32]


@dataclass(frozen=True)
class Corpus:
    """A tokenised leaf.

    Attributes:
        tokens: Memory map of all token ids, checked as it is read.
        starts: [n] first token of each passage that may be trained on.
        ends: [n] end of each such passage.
        heldout: Token ids of each passage that is held out.
        heldout_bytes: [h] bytes of text of each such passage.
    """

    tokens: CheckedTokens
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    heldout: tuple[NDArray[np.int64], ...]
    heldout_bytes: NDArray[np.int64]


def read_passages(store: Store, folder: str) -> PassageTable:
    """Read the index of a tokenised leaf.

    Args:
        store: The store.
        folder: Folder in the store that `tokenise` wrote.

    Returns:
        The index.

    Raises:
        DamageError: The file is damaged.
        FileNotFoundError: There is no such corpus.
    """
    name = f"{folder}/{PASSAGES_FILE}"
    arrays = load_tensors(store.local_copy(name), store.place(name))
    starts = np.concatenate([[0], arrays["ends"][:-1]]).astype(np.int64)
    return PassageTable(starts, arrays["ends"], arrays["heldout"], arrays["heldout_bytes"], arrays["checks"])


def open_tokens(store: Store, folder: str, dtype: np.dtype[Any], passages: PassageTable) -> CheckedTokens:
    """Open the tokens of a leaf; nothing is read.

    Args:
        store: The store.
        folder: Folder in the store that `tokenise` wrote.
        dtype: Type of the token ids.
        passages: The index of the leaf.

    Returns:
        The tokens.

    Raises:
        DamageError: The file is damaged.
        FileNotFoundError: There is no such corpus.
    """
    name = f"{folder}/{TOKENS_FILE}"
    path, where = store.local_copy(name), store.place(name)
    if path.stat().st_size % dtype.itemsize:
        raise DamageError(where, f"{path.stat().st_size:,} bytes, no whole number of tokens")
    return CheckedTokens(np.memmap(path, dtype.newbyteorder("<"), "r"), passages.checks, where)


def open_corpus(store: Store, folder: str, dtype: np.dtype[Any], exclusion: str | None = None) -> Corpus:
    """Open a tokenised leaf; only its index and the held-out passages are read.

    Args:
        store: The store.
        folder: Folder in the store that `tokenise` wrote.
        dtype: Type of the token ids.
        exclusion: Name of a list of passages that are not trained on either (`write_exclusion`).

    Returns:
        The corpus.

    Raises:
        DamageError: A file is damaged.
        FileNotFoundError: There is no such corpus.
    """
    passages = read_passages(store, folder)
    tokens = open_tokens(store, folder, dtype, passages)
    heldout = tuple(tokens[passages.starts[i] : passages.ends[i]].astype(np.int64) for i in passages.heldout)
    keep = np.ones(passages.ends.size, bool)
    keep[passages.heldout] = False
    if exclusion is not None:
        keep[read_exclusion(store, exclusion)] = False
    return Corpus(tokens, passages.starts[keep], passages.ends[keep], heldout, passages.heldout_bytes)


def write_exclusion(store: Store, leaf: str, passages: Sequence[int]) -> str:
    """Keep a list of passages that are not trained on.

    Args:
        store: The store.
        leaf: Fingerprint of the leaf.
        passages: Numbers of the passages, ascending.

    Returns:
        Name of the list: a digest of it.
    """
    name = digest({"leaf": leaf, "passages": list(passages)})
    with store.new_file(exclusion_path(name)) as path:
        save_tensors({"passages": np.array(passages, np.int64)}, path)
    return name


def read_exclusion(store: Store, name: str) -> NDArray[np.int64]:
    """Read a list of passages that are not trained on.

    Args:
        store: The store.
        name: Name of the list.

    Returns:
        Numbers of the passages, ascending.

    Raises:
        DamageError: The file is damaged.
        FileNotFoundError: There is no such list.
    """
    path = exclusion_path(name)
    passages: NDArray[np.int64] = load_tensors(store.local_copy(path), store.place(path))["passages"]
    return passages
