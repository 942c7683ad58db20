"""Something is called every now and then while a block lasts, in its context, and not after it."""

import contextvars
import threading

from tasks.runtime.periodic import repeatedly

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="outside")


def test_the_action_is_called_in_the_context_of_the_caller_until_the_block_ends() -> None:
    called, names = threading.Event(), []

    def action() -> None:
        names.append(NAME.get())
        called.set()

    NAME.set("inside")
    with repeatedly(action, 0.001):
        assert called.wait(10)
    count = len(names)
    called.clear()
    assert not called.wait(0.05)
    assert names == ["inside"] * count
