"""Main loop of a worker process: it reads jobs, carries them out on one thread, and answers.

A job is a line of JSON on standard input (`Job.to_message`). Answers are lines of JSON: {"progress": ...} while a proxy
is trained, then {"result": ...} or {"error": {"kind", "message"}}. The process stays for further jobs, since importing
torch takes longer than many an evaluation. It ends with its input, in the middle of a job too.

Two processes of one thread train far more than one process of two threads, and a process can be killed.
"""

import json
import os
import sys
import threading
from queue import SimpleQueue

import torch

from olmix_core.errors import DamageError, OlmixError, StoreError
from olmix_core.serialization import JsonMapping
from olmix_core.storage.store import Store
from olmix_core.workers.handlers import handle
from olmix_core.workers.jobs import read_job


def main() -> None:
    """Carry out jobs until standard input ends."""
    # Answers have a descriptor of their own, so that nothing that a library prints gets between them.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    def answer(kind: str, content: JsonMapping) -> None:
        answers.write(json.dumps({kind: content}) + "\n")
        answers.flush()

    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = read_job(json.loads(lines.get()))
        try:
            result = handle(job, lambda state: answer("progress", state.to_json()))
        except OlmixError as error:
            if isinstance(error, DamageError):
                Store(job.proxy.store).set_aside(error)
                error = StoreError(str(error))
            answer("error", {"kind": type(error).__name__, "message": str(error)})
        else:
            answer("result", result.to_json())


if __name__ == "__main__":
    main()
