"""Several writers at once, on a folder and on a store that is none."""

import operator
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.store import Store

WRITER = """
import sys
from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.store import Store
store, number = Store(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(create_exclusive(store, "claim", b"%d" % number), flush=True)
for step in range(50):
    mine = 10 * step + number
    advance(store, "pointer", b"%d" % mine, lambda current: int(current) < mine)
"""


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_create_exclusive_creates_once_and_advance_never_goes_back(kind: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path) if kind == "local" else f"memory://{tmp_path.name}")
    assert create_exclusive(store, "a/claim", b"1")
    assert not create_exclusive(store, "a/claim", b"2")
    assert store.read_bytes("a/claim") == b"1"
    for value, left in ((b"2", b"2"), (b"1", b"2"), (b"3", b"3")):
        advance(store, "a/pointer", value, partial(operator.gt, value))
        assert store.read_bytes("a/pointer") == left


def test_one_of_many_processes_creates_the_file_and_the_pointer_ends_at_the_newest(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    answers = [writer.communicate("\n", timeout=120)[0].strip() for writer in writers]
    assert sorted(answers) == ["False", "False", "False", "True"]
    store = Store(str(tmp_path))
    assert store.read_bytes("claim") == str(answers.index("True")).encode()
    assert store.read_bytes("pointer") == b"493"
