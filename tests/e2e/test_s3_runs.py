"""Whole runs with inputs and store on a real S3 server: the same as on a folder, whatever happens to the server."""

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from olmix_core.storage import s3 as s3fs
from olmix_core.storage.store import Store

if TYPE_CHECKING:
    from tests.support.running_server import Server
    from tests.support.s3_server import Request, S3Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OLMIX = str(Path(sys.executable).with_name("olmix"))
# Some seconds a proxy, so that the server can be killed in the middle.
SLOW = {"layers": 2, "width": 64, "heads": 2, "sequence_length": 64, "batch_size": 4, "tokens": 131_072}


@pytest.fixture
def environment(environment: dict[str, str], s3: "S3Server", server: "Server") -> dict[str, str]:
    return {**environment, **s3.environment, "PREFECT_API_URL": server.url}


@pytest.fixture
def on_s3(project: Callable[..., Path], bucket: str) -> Callable[..., Path]:
    """The same project with its files and its store in a bucket."""

    def make(file: str = "s3.yaml", **changes: Any) -> Path:
        path = project(file, **changes)
        config = yaml.safe_load(path.read_text())
        for domain in config["domains"]:
            name = domain["paths"]
            s3fs.filesystem().put_file(str(path.parent / name), f"{bucket}/data/{domain['name']}/{name}")
            domain["paths"] = f"s3://{bucket}/data/{domain['name']}/*.jsonl"
        config["store"] = f"s3://{bucket}/store"
        path.write_text(yaml.safe_dump(config))
        return path

    return make


def olmix(*words: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OLMIX, *map(str, words)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def written(asked: "list[Request]", what: str) -> list[str]:
    """Keys of the proxies whose file `what` was put."""
    puts = (re.search(rf"/store/proxies/(\w+)/{what}", one.path) for one in asked if one.method == "PUT")
    return [put.group(1) for put in puts if put]


def test_a_run_on_s3_is_that_on_a_folder_and_leaves_no_secret(
    project: Callable[..., Path],
    on_s3: Callable[..., Path],
    environment: dict[str, str],
    s3: "S3Server",
    bucket: str,
    server: "Server",
    tmp_path: Path,
) -> None:
    outputs = []
    assert server.folder is not None

    def run(config: Path) -> str:
        done = olmix("run", config, environment=environment)
        outputs.append(done.stdout + done.stderr)
        assert done.returncode == 0, outputs[-1]
        return done.stdout

    run(project())
    config = on_s3()
    s3.requests()
    assert "train 6" in run(config)
    first = s3.requests()
    # Its beginning, since it was never looked into; for the tokenizer; and to be counted: each time once, at most.
    for name in ("code", "manual", "guide"):
        assert 1 <= sum(one.method == "GET" and f"/data/{name}/" in one.path for one in first) <= 3

    here, there = (
        Store(url).read_json("mixes/test/v0001/mix.json") for url in (f"{tmp_path}/store", f"s3://{bucket}/store")
    )
    for same in ("keys", "weights", "weights_by_content", "evidence", "predicted", "tokenizer", "identity"):
        assert here[same] == there[same], same

    assert "everything was cached" in run(config)
    assert [one for one in s3.requests() if one.method in ("GET", "HEAD") and "/data/" in one.path] == []
    assert olmix("plan", config, "--detailed-exitcode", environment=environment).returncode == 0
    assert olmix("show", "test", "--store", f"s3://{bucket}/store", environment=environment).returncode == 0

    wrong = {**environment, "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}
    refused = olmix("run", config, environment=wrong)
    outputs.append(refused.stdout + refused.stderr)
    assert refused.returncode == 1
    assert "refuses this key or secret" in outputs[-1]
    assert "Traceback" not in outputs[-1]

    searched = 0
    # The store as it lies on the disk; outputs and caches; Prefect's home.
    for folder in (s3.folder / "devices", tmp_path, server.folder):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            searched += 1
            assert s3.secret.encode() not in content, path
            assert wrong["AWS_SECRET_ACCESS_KEY"].encode() not in content, path
    assert searched > 50
    assert (server.folder / "prefect.db").exists()
    assert not any(s3.secret in output or wrong["AWS_SECRET_ACCESS_KEY"] in output for output in outputs)


def test_a_server_that_dies_in_the_middle_loses_nothing(
    on_s3: Callable[..., Path], environment: dict[str, str], s3: "S3Server", bucket: str, tmp_path: Path
) -> None:
    config = on_s3(proxy=SLOW, proposal={"repetition": 1000})
    s3.requests()
    with (tmp_path / "run.log").open("w") as log:
        impatient = {**environment, "AWS_MAX_ATTEMPTS": "2"}
        running = subprocess.Popen(
            [OLMIX, "run", config, "--workers", "2"], env=impatient, stdout=log, stderr=log, text=True
        )
        finished: list[str] = []
        while len(finished) < 2:
            assert running.poll() is None, (tmp_path / "run.log").read_text()
            finished += written(list(s3.requests()), "run.json")
            time.sleep(0.2)
        s3.kill()
        assert running.wait(timeout=300) == 1
    s3.start()
    told = (tmp_path / "run.log").read_text()
    assert "does not answer" in told
    assert "Traceback" not in told
    finished += written(list(s3.requests()), "run.json")

    again = olmix("run", config, environment=environment)
    assert again.returncode == 0, again.stderr
    trained = written(list(s3.requests()), "model.safetensors")
    assert len(finished) + len(trained) == 6
    assert not set(finished) & set(trained)
    assert Store(f"s3://{bucket}/store").read_json("mixes/test/latest.json") == {"version": "v0001"}


def test_two_runs_that_publish_the_same_name_at_once_both_get_a_version(
    on_s3: Callable[..., Path], environment: dict[str, str], bucket: str
) -> None:
    assert olmix("run", on_s3(), environment=environment).returncode == 0
    configs = [on_s3(f"{number}.yaml", proposal={"kl": kl}) for number, kl in enumerate((0.2, 0.4))]
    runs = [
        subprocess.Popen([OLMIX, "run", config], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for config in configs
    ]
    outputs = [run.communicate(timeout=600)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    store = Store(f"s3://{bucket}/store")
    assert store.read_json("mixes/test/latest.json") == {"version": "v0003"}
    records = [store.read_json(f"mixes/test/{version}/mix.json") for version in ("v0001", "v0002", "v0003")]
    assert [record["parent"] for record in records] == [None, "v0001", "v0002"]
    assert {record["settings"]["proposal"]["kl"] for record in records[1:]} == {0.2, 0.4}
    history = json.loads(olmix("history", configs[0], "--json", environment=environment).stdout)
    assert [row["version"] for row in history] == ["v0001", "v0002", "v0003"]
    for version in ("v0002", "v0003"):
        shown = olmix("show", configs[0], "--version", version, environment=environment)
        assert shown.returncode == 0, shown.stderr


def test_inputs_that_cannot_be_reached_are_told_before_anything_runs(
    on_s3: Callable[..., Path], environment: dict[str, str], s3: "S3Server"
) -> None:
    config = on_s3()
    parsed = yaml.safe_load(config.read_text())
    parsed["domains"][1]["paths"] = "s3://nowhere/data/*.jsonl"
    config.write_text(yaml.safe_dump(parsed))
    s3.requests()
    refused = olmix("run", config, environment=environment)
    assert refused.returncode == 1
    assert "domains[1].paths: found s3://nowhere/data/*.jsonl: there is no bucket 'nowhere'" in refused.stderr
    assert not [one for one in s3.requests() if one.method == "PUT"]
    dead = {**environment, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    refused = olmix("run", config, environment=dead)
    assert refused.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in refused.stderr
