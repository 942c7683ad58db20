"""The command line `olmix`: one module per command or group of commands, put together in `app`.

A command reads its options, calls the flows, reports or packages of `olmix_core` that do the work, and prints a view of
the result, or JSON. Heavy packages (prefect, torch, cvxpy) are imported inside the commands that need them, so that
help comes at once.
"""

from flows.cli.app import main

__all__ = ["main"]
