"""One thread for linear algebra, so that figures do not depend on the number of cores.

BLAS splits its sums between threads, and sums that are split elsewhere differ in the last digits. A fit has small
matrices, which one thread multiplies about as fast as several.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock

import scipy.linalg  # noqa: F401  its BLAS must be loaded to be found
from threadpoolctl import LibController, OpenBLASController, ThreadpoolController

_PER_THREAD = "openmp"  # of this threading layer, each thread has a limit of its own

_lock = Lock()
_users = 0
_usual: Sequence[int] = ()  # threads of each library without a user


@cache
def _libraries() -> Sequence[LibController]:
    """The BLAS of NumPy and of SciPy."""
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread, in all threads of this process, until the last user ends.

    Yields:
        None.
    """
    global _users, _usual
    with _lock, _any_thread():
        if _users == 0:
            _usual = [library.num_threads for library in _libraries()]
        _users += 1
        for library in _libraries():
            library.set_num_threads(1)
    try:
        yield
    finally:
        with _lock, _any_thread():
            _users -= 1
            for library, count in zip(_libraries(), _usual, strict=True):
                if _users == 0 or getattr(library, "threading_layer", None) == _PER_THREAD:
                    library.set_num_threads(count)


@contextmanager
def _any_thread() -> Iterator[None]:
    """Let the present thread set what another has set; threadpoolctl reserves it for the first that did."""
    OpenBLASController.clear_controlling_thread()
    try:
        yield
    finally:
        OpenBLASController.clear_controlling_thread()
