"""Worker processes, which train and score proxies, and commands of users that do the same.

A job (`TrainJob`, `EvaluateJob`, `ForecastJob`) goes in and a typed result (`ProxyRun`, `Score`,
`EvaluationEstimate`) comes out of `worker_pool.run`, or an error of `olmix_core.errors`. `run_command` trains and
measures by a command instead. Inside `until_stopped`, a run that is stopped ends its processes at once.
"""

from olmix_core.workers.cancellation import until_stopped
from olmix_core.workers.command import run_command
from olmix_core.workers.jobs import EvaluateJob, EvaluationEstimate, ForecastJob, ProxyReference, TrainJob
from olmix_core.workers.pool import WorkerPool, at_once, worker_pool

__all__ = [
    "EvaluateJob",
    "EvaluationEstimate",
    "ForecastJob",
    "ProxyReference",
    "TrainJob",
    "WorkerPool",
    "at_once",
    "run_command",
    "until_stopped",
    "worker_pool",
]
