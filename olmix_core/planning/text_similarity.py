"""Similarity of text: which known leaves a new leaf resembles, before any proxy was trained on it.

The *profile* of a leaf is the distribution of its tokens over the vocabulary, from a sample of its text. The profile of
a new leaf is fitted as a mixture of the profiles of known leaves by non-negative least squares, and its coefficients
are estimated as the same mixture of theirs. The estimate is only used to choose the leaves to recompute (see
`olmix_core.planning.coupling`); the effect of the new leaf is measured by proxies.
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
    """Measure the distribution of tokens in the first documents of the first files of a leaf.

    Args:
        files: Files of the leaf.
        tokenizer: The tokenizer.

    Returns:
        [vocab_size] frequencies, which sum to 1; all 0 where there is no text.

    Raises:
        DataError: A file cannot be read.
    """
    counts = np.zeros(tokenizer.vocab_size)
    chosen = files[:FILES_SAMPLED]
    for file in chosen:
        tokens_read = 0
        for ids in _token_ids(file, tokenizer):
            ids = ids[: SAMPLE_TOKENS // len(chosen) - tokens_read]
            counts += np.bincount(ids, minlength=counts.size)
            tokens_read += ids.size
            if tokens_read >= SAMPLE_TOKENS // len(chosen):
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
    """Fit a profile as a mixture of known profiles.

    Errors are scaled by the square root of a token's mean frequency, the scatter of counts, so that frequent tokens do
    not outweigh the rare ones by which domains differ.

    Args:
        new: [V] profile to fit.
        known: [m, V] profiles of known leaves.

    Returns:
        [m] shares, which sum to 1; equal shares where nothing is similar.
    """
    scale = np.sqrt(np.concatenate([known, new[None]]).mean(axis=0))
    occurs = scale > 0
    shares, _ = nnls((known[:, occurs] / scale[occurs]).T, new[occurs] / scale[occurs])
    total = shares.sum()
    if total <= 0:
        return np.full(len(known), 1 / len(known))
    result: Array = shares / total
    return result
