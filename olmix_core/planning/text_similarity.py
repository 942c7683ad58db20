"""What a new leaf will be like, before any proxy has seen it: like the known leaves that its text resembles.

A leaf's *profile* is the distribution of its tokens over the vocabulary, from a sample of its text. The profile of a
new leaf is written as a mixture of the profiles of known leaves (non-negative least squares); its coefficients are
expected to be that mixture of theirs. This decides only which leaves are worth recomputing (see `coupling`): what the
new leaf is really like, the proxies tell.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.mixture import Array

SAMPLE_TOKENS = 1 << 15
FILES_SAMPLED = 16


def profile(files: Sequence[InputFile], tokenizer: Tokenizer) -> Array:
    """[vocab_size] token frequencies in the first documents of the leaf's first files, summing to 1."""
    counts = np.zeros(tokenizer.vocab_size)
    chosen = files[:FILES_SAMPLED]
    for file in chosen:
        taken = 0
        for ids in _token_ids(file, tokenizer):
            ids = ids[: SAMPLE_TOKENS // len(chosen) - taken]
            counts += np.bincount(ids, minlength=counts.size)
            taken += ids.size
            if taken >= SAMPLE_TOKENS // len(chosen):
                break
    shares: Array = counts / max(counts.sum(), 1.0)
    return shares


def _token_ids(file: InputFile, tokenizer: Tokenizer) -> Iterator[NDArray[np.int64]]:
    if file.is_tokens:
        for document in token_documents(file, eos=tokenizer.eos, vocab_size=tokenizer.vocab_size):
            yield document.astype(np.int64)
        return
    documents = text_documents(file)
    while batch := list(islice(documents, 32)):
        yield from tokenizer.encode([text[: 4 * SAMPLE_TOKENS] for text in batch])


def resemblance(new: Array, known: Array) -> Array:
    """[m] shares, summing to 1, of the known profiles [m, V] that together come nearest to `new` [V].

    Errors count in units of the square root of a token's mean frequency, as counts scatter, so that rare tokens, which
    tell domains apart, are not drowned by frequent ones.
    """
    scale = np.sqrt(np.concatenate([known, new[None]]).mean(axis=0))
    seen = scale > 0
    shares, _ = nnls((known[:, seen] / scale[seen]).T, new[seen] / scale[seen])
    total = shares.sum()
    if total <= 0:
        return np.full(len(known), 1 / len(known))
    result: Array = shares / total
    return result
