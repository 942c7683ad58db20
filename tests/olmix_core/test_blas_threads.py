"""Fits and proposals give the same digits whatever the number of cores."""

import os
import subprocess
import sys
import threading

from threadpoolctl import threadpool_info

from olmix_core.blas_threads import one_blas_thread

FIT = """
import hashlib
import numpy as np
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.fit import cross_validate, fit
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.settings import FitSettings

random = np.random.default_rng(0)
m, runs, tasks = 40, 300, 12
X = random.dirichlet(np.full(m, 0.5), runs)
Y = 1 + np.exp(-(X**0.5) @ random.uniform(0, 1, (m, tasks))) + 0.01 * random.standard_normal((runs, tasks))
names = [tuple(f"{kind}{i:03d}" for i in range(n)) for kind, n in (("run", runs), ("leaf", m), ("task", tasks))]
swarm = SwarmData(X, Y, *names)
settings = FitSettings(family="shared_prior", gamma=0.6)
surrogate = fit(swarm, settings)
weights = propose(surrogate, ProposalProblem(np.eye(m), np.full(m, 1 / m), np.full(m, 1.0))).weights
predicted = cross_validate(swarm, settings).predicted
print(hashlib.sha256(surrogate.parameters.v.tobytes() + weights.tobytes() + predicted.tobytes()).hexdigest())
"""


def digest(threads: int) -> str:
    limits = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", FIT], env={**os.environ, **limits}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_fit_does_not_depend_on_the_number_of_threads() -> None:
    assert digest(1) == digest(2)


def threads_of_blas() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_last_of_several_users_restores_the_number_of_threads() -> None:
    before = threads_of_blas()
    inside, leave = threading.Event(), threading.Event()

    def use() -> None:
        with one_blas_thread():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=use)
    with one_blas_thread():
        other.start()
        inside.wait(10)
    assert threads_of_blas() == {1}
    leave.set()
    other.join()
    assert threads_of_blas() == before
