"""How long an evaluation will take, told before it begins: its work is counted, and a little of it is tried.

Work is arithmetic: every token goes through the blocks of the model, every scored one through its output layer too.
"""

import time
from collections.abc import Sequence

from olmix_core.data.tasks import Item
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import Window, bits_of, groups, windows_of

# Documents that are tried, spread over the task: this share of them, but within these bounds.
TRIED_SHARE = 0.05
FEWEST, MOST = 8, 64


def work_of(model: Transformer, windows: Sequence[Window]) -> float:
    """Multiplications that scoring `windows` takes, a beginning that they share counted once."""
    output = model.embedding.weight.numel()
    blocks = sum(parameter.numel() for parameter in model.parameters()) - output
    tokens = 0
    for shared, group in groups(windows):
        tokens += shared + sum(window.ids.size - shared for window in group)
    scored = sum(window.ids.size - 1 - window.scored_from for window in windows)
    return float(blocks * tokens + output * scored)


def seconds_for(model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int) -> float:
    """How long `bpb_of_items` will take."""
    started = time.monotonic()
    windows = windows_of(tokenizer, items, length)
    reading = time.monotonic() - started
    tried = min(len(items), MOST, max(FEWEST, round(TRIED_SHARE * len(items))))
    chosen = {int(i * len(items) / tried) for i in range(tried)}
    part = [window for window in windows if window.document in chosen]
    bits_of(model, part[:1], len(items))  # the first call is slower
    started = time.monotonic()
    bits_of(model, part, len(items))
    trial = time.monotonic() - started
    return reading + trial * work_of(model, windows) / work_of(model, part)
