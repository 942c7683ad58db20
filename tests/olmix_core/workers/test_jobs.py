"""Jobs cross the boundary between processes as JSON without loss."""

import json
from typing import Any

import pytest

from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import TaskSource
from olmix_core.workers.jobs import EvaluateJob, ForecastJob, Job, ProxyReference, TrainJob, read_job

PROXY = ProxyReference("s3://bucket/store", "a" * 64, {"layers": 2, "learning_rate": 0.008}, "tokenizers/t.json")
JOBS: list[Job[Any]] = [
    TrainJob(PROXY, {"code": 0.1, "prose": 0.9}, {"code": "cache/tokens/c", "prose": "cache/tokens/p"}),
    TrainJob(PROXY, {"code": 1.0}, {"code": "cache/tokens/c"}, attempt=1, checkpoint_seconds=0.5),
    EvaluateJob(PROXY, "arc", TaskSource(file="arc.jsonl", sample=(200, 0))),
    EvaluateJob(PROXY, "text", TaskSource(texts=(InputFile("a.txt", "text"),))),
    EvaluateJob(PROXY, "heldout", TaskSource(), ("cache/tokens/c",)),
    ForecastJob(PROXY, TaskSource(file="arc.jsonl")),
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_read_back_unchanged(job: Job[Any]) -> None:
    assert read_job(json.loads(json.dumps(job.to_message()))) == job


def test_unknown_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="kind 'dance'; expected one of train, evaluate, forecast"):
        read_job({"kind": "dance"})


def test_message_after_a_timeout_names_the_work_that_was_stopped() -> None:
    train, evaluate, forecast = JOBS[0], JOBS[2], JOBS[5]
    assert "expected the proxy to be trained by then" in train.after_timeout
    assert "expected the scores of task 'arc' by then" in evaluate.after_timeout
    assert all("raise execution.timeout_hours" in job.after_timeout for job in (train, evaluate, forecast))
