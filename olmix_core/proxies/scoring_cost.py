"""Estimate evaluation time from an operation count and a timed sample.

Every token goes through the blocks of the model, and every scored one through its output layer.
"""

import time
from collections.abc import Sequence

from olmix_core.data.tasks import Item
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import Window, bits_of, group_by_prefix, windows_of

# Documents that are timed, spread over the task: this share of them, within these bounds.
TIMED_SHARE = 0.05
FEWEST, MOST = 8, 64


def count_operations(model: Transformer, windows: Sequence[Window]) -> float:
    """Count the multiplications of scoring windows; a prefix that they share counts once.

    Args:
        model: The model.
        windows: The windows.

    Returns:
        Number of multiplications.
    """
    output = model.embedding.weight.numel()
    blocks = sum(parameter.numel() for parameter in model.parameters()) - output
    tokens = 0
    for shared, group in group_by_prefix(windows):
        tokens += shared + sum(window.ids.size - shared for window in group)
    scored = sum(window.ids.size - 1 - window.scored_from for window in windows)
    return float(blocks * tokens + output * scored)


def estimate_seconds(model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int) -> float:
    """Estimate how long `score_items` takes.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        items: The documents.
        length: Tokens of context at most.

    Returns:
        Seconds.
    """
    started = time.monotonic()
    windows = windows_of(tokenizer, items, length)
    reading = time.monotonic() - started
    count = min(len(items), MOST, max(FEWEST, round(TIMED_SHARE * len(items))))
    documents = {int(i * len(items) / count) for i in range(count)}
    part = [window for window in windows if window.document in documents]
    bits_of(model, part[:1], len(items))  # the first call is slower
    started = time.monotonic()
    bits_of(model, part, len(items))
    trial = time.monotonic() - started
    return reading + trial * count_operations(model, windows) / count_operations(model, part)
