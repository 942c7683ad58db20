"""The time of an evaluation, told before it begins."""

import time

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.tasks import Item
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import score_items, windows_of
from olmix_core.proxies.scoring_cost import count_operations, estimate_seconds

RECIPE = ProxyRecipe(layers=1, width=16, heads=2, sequence_length=128, batch_size=1, tokens=1024)
MODEL = Transformer(RECIPE, 257).eval()
OUTPUT = 257 * 16
BLOCKS = sum(p.numel() for p in MODEL.parameters()) - OUTPUT


def work(*items: Item) -> float:
    return count_operations(MODEL, windows_of(byte_tokenizer(), items, 128))


def test_operations_are_counted_in_the_model() -> None:
    assert work(Item("abc", "de"), Item("", "f")) == BLOCKS * (6 + 2) + OUTPUT * 3


def test_a_shared_prefix_is_counted_once() -> None:
    assert work(*(Item("x" * 60 + str(i), "yz") for i in range(5))) == BLOCKS * (61 + 5 * 3) + OUTPUT * 10


def test_the_estimate_is_near_the_time_taken() -> None:
    items = [Item(f"{i} " * (i % 40), "continued " * (1 + i % 9)) for i in range(1500)]
    told = estimate_seconds(MODEL, byte_tokenizer(), items, 128)
    started = time.monotonic()
    score_items(MODEL, byte_tokenizer(), items, 128)
    taken = time.monotonic() - started
    assert taken / 10 < told < taken * 10  # a busy machine; how good it is, is measured by hand


def test_estimates_for_few_and_for_long_documents() -> None:
    for items in ([Item("", "a" * 1000)], [Item("a" * 1000, "b")], [Item("", "a")] * 3):
        assert estimate_seconds(MODEL, byte_tokenizer(), items, 128) > 0
