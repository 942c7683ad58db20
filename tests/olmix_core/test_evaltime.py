"""The work of an evaluation, counted before it begins."""

import torch

from olmix_core.evaltime import Work, count, seconds
from olmix_core.model import Transformer
from olmix_core.recipe import Proxy
from olmix_core.suite import Item
from olmix_core.tokenizer import byte_tokenizer

RECIPE = Proxy(layers=1, width=16, heads=2, sequence_length=128, batch_size=1, tokens=1024)


def test_work_is_what_goes_through_the_model() -> None:
    work = count(byte_tokenizer(), [Item("abc", "de"), Item("", "f")], 128)
    assert (work.tokens, work.scored) == (6 + 2, 3)


def test_a_beginning_in_common_is_counted_once() -> None:
    items = [Item("x" * 60 + str(i), "yz") for i in range(5)]
    assert count(byte_tokenizer(), items, 128).tokens == 61 + 5 * 3


def test_continuations_of_any_length_can_be_tried() -> None:
    model = Transformer(RECIPE, 257).eval()
    for items in ([Item("", "a" * 1000)], [Item("a" * 1000, "b")], [Item("", "a")]):
        work = count(byte_tokenizer(), items, RECIPE.sequence_length)
        with torch.inference_mode():
            assert seconds(model, work) > 0


def test_twice_the_work_takes_twice_as_long() -> None:
    model = Transformer(RECIPE, 257).eval()
    once, hundred = (seconds(model, Work(100 * n, 10 * n, 64, 0.0)) for n in (100, 10_000))
    assert 20 < hundred / once < 500  # the trial is short, and the machine may be busy
