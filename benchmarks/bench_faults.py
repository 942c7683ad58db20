"""Break a run in every way that can be thought of, and see that nothing is lost, repeated or wrong.

A small real flow (real text, real training, a Prefect server of its own) runs undisturbed once; its mixture is what
every broken run has to end with. Then, each time in a fresh store:

- killed (SIGKILL) at a random moment, and run again;
- killed while a file is being written;
- a disk that is full (a tmpfs of few megabytes) or read-only, then room again;
- the Prefect server killed under way, and started again;
- the S3 server that holds the store killed under way, and started again (where `.servers` is installed);
- two runs at the same moment that share all mixtures: each is trained once;
- the clock set back by a day between two runs (with libfaketime, where it is installed).

After each: does the run that follows end with the same mixture? Was a proxy trained again that was finished? Is `olmix
store check` clean? It prints a table of faults tried, lost and repeated, and exits with 1 if there is any.

    make faults        (about an hour on two cores)
"""

import argparse
import inspect
import json
import os
import pydoc_data.topics
import random
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.report import table, write
from olmix_core.storage.store import Store
from tests.support.s3_server import BIN, S3Server
from tests.support.server import Server

OLMIX = str(Path(sys.executable).with_name("olmix"))
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
SECONDS = 300  # after which a run is taken to hang


@dataclass
class Tally:
    """What became of the faults of one kind."""

    tried: int = 0
    lost: int = 0  # another mixture, a run that did not end, or a store that is not whole
    repeated: int = 0  # finished proxies that were trained again

    def row(self) -> tuple[int, int, int]:
        return self.tried, self.lost, self.repeated


class Trial:
    """A project in a fresh folder, and its runs."""

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.folder = folder
        self.store = Store(store or str(folder / "store"))
        self.config = prepare(folder, self.store.url)
        self.environment = {**os.environ, "OLMIX_CACHE_DIR": str(folder / "cache")}

    def start(
        self, config: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        command = [OLMIX, "run", str(config or self.config)]
        return subprocess.Popen(command, env={**self.environment, **(environment or {})}, stdout=log, stderr=log)

    def run(self, **environment: str) -> int:
        process = self.start(environment=environment)
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return -1

    def mixture(self) -> dict[str, float] | None:
        """The weights published last."""
        try:
            version = self.store.read_json("mixes/faults/latest.json")["version"]
            weights: dict[str, float] = self.store.read_json(f"mixes/faults/{version}/mix.json")["weights"]
        except FileNotFoundError:
            return None
        return weights

    def trained(self, name: str) -> int:
        """Proxies that the run behind the first version of a mix trained."""
        return int(self.store.read_json(f"mixes/{name}/v0001/mix.json")["run"]["train"]["executed"])

    def finished(self) -> dict[str, float]:
        """{run.json of a finished proxy: time of writing}."""
        return {path: time for path, (_, time) in self.store.files().items() if path.endswith("/run.json")}

    def is_whole(self) -> bool:
        checked = subprocess.run(
            [OLMIX, "store", "check", "--store", self.store.url], env=self.environment, capture_output=True, text=True
        )
        if checked.returncode:
            print(checked.stdout, checked.stderr, file=sys.stderr)
        return checked.returncode == 0


def prepare(folder: Path, store: str) -> Path:
    """Three domains of what every Python ships, and a configuration of few small proxies."""
    folder.mkdir(parents=True, exist_ok=True)
    topics = [inspect.cleandoc(text) for _, text in sorted(pydoc_data.topics.topics.items())]
    modules = ("argparse", "ast", "datetime", "difflib", "shutil", "tarfile")
    code = [(Path(sysconfig.get_paths()["stdlib"]) / f"{name}.py").read_text() for name in modules]
    for name, documents in {"code": code, "manual": topics[::2], "guide": topics[1::2]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    config = {
        "name": "faults",
        "store": store,
        "domains": [{"name": name, "paths": f"{name}.jsonl"} for name in ("code", "manual", "guide")],
        "tokenizer": {"vocab_size": 512},
        "proxy": {"layers": 1, "width": 32, "heads": 1, "sequence_length": 64, "batch_size": 4, "tokens": 16_384},
        "evaluation": {"tasks": [{"heldout": "code"}, {"heldout": "manual"}]},
        "swarm": {"runs": 8, "min_strength": 1.0},
    }
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def judge(trial: Trial, expected: dict[str, float], tally: Tally, **environment: str) -> None:
    """Run again after a fault, and count what became of it."""
    before = trial.finished()
    status = trial.run(**environment)
    after = trial.finished()
    tally.tried += 1
    tally.repeated += sum(after.get(path) != written for path, written in before.items())
    if status != 0 or trial.mixture() != expected or not trial.is_whole():
        tally.lost += 1
        print(f"lost: status {status}, see {trial.folder / 'log'}", file=sys.stderr)


def at_random_moments(folder: Path, expected: dict[str, float], seconds: float, count: int, seed: int) -> Tally:
    tally, draws = Tally(), random.Random(seed)
    for number in range(count):
        trial = Trial(folder / f"moment-{number}")
        process = trial.start()
        time.sleep(draws.uniform(0.5, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        judge(trial, expected, tally)
        tell("killed at a random moment", tally, count)
        tidy(trial, tally)
    return tally


def while_writing(folder: Path, expected: dict[str, float], count: int, seed: int) -> Tally:
    """Killed while a file is half there; which of the files of a run is drawn."""
    tally, draws = Tally(), random.Random(seed)
    for number in range(count):
        trial = Trial(folder / f"writing-{number}")
        process, nth = trial.start(), draws.randrange(40)
        seen: set[str] = set()
        while process.poll() is None and len(seen) <= nth:
            seen |= set(being_written(trial.folder / "store"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        judge(trial, expected, tally)
        tell("killed while writing", tally, count)
        tidy(trial, tally)
    return tally


def being_written(store: Path) -> Iterator[str]:
    """Temporary files of the store at this moment."""
    for folder, _, files in os.walk(store):
        yield from (f"{folder}/{file}" for file in files if file.startswith(".new-"))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, in memory. Needs root."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disk_full(folder: Path, expected: dict[str, float], sizes: list[str]) -> Tally:
    """The store's disk fills up at some point of the run; then it is given room."""
    tally = Tally()
    for size in sizes:
        with small_disk(folder / f"full-{size}" / "disk", size) as disk:
            trial = Trial(folder / f"full-{size}", str(disk / "store"))
            status = trial.run()
            log = (trial.folder / "log").read_text()
            if status == 0 or "Traceback" in log:
                tally.lost += 1
                print(
                    f"full disk of {size}: status {status}, or a traceback, in {trial.folder / 'log'}", file=sys.stderr
                )
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            judge(trial, expected, tally)
            tell("disk full", tally, len(sizes))
    return tally


def read_only(folder: Path, expected: dict[str, float]) -> Tally:
    """The store cannot be written; then it can."""
    tally = Tally()
    with small_disk(folder / "read-only" / "disk", "1g") as disk:
        trial = Trial(folder / "read-only", str(disk / "store"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        status = trial.run()
        log = (trial.folder / "log").read_text()
        if status != 1 or "Traceback" in log or "cannot be used" not in log:
            tally.lost += 1
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        judge(trial, expected, tally)
    return tally


def server_killed(folder: Path, expected: dict[str, float], server: Server, seconds: float, count: int) -> Tally:
    """The Prefect server dies under way, and comes back; the run may fail, the next one must not."""
    tally = Tally()
    for number in range(count):
        trial = Trial(folder / f"server-{number}")
        process = trial.start()
        time.sleep(seconds * (number + 1) / (count + 1))
        server.kill()
        time.sleep(2)
        server.start()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            tally.lost += 1
        judge(trial, expected, tally)
        tell("Prefect server killed", tally, count)
    return tally


def s3_server_killed(folder: Path, expected: dict[str, float], count: int) -> Tally:
    """The server that holds the store dies after some proxies, and comes back; the run has to say so in words."""
    tally = Tally()
    place = folder / "s3"
    place.mkdir()
    with S3Server(place, secrets.token_hex(20)) as server:
        os.environ |= server.environment
        for number in range(count):
            server.make_bucket(f"faults{number}")
            trial = Trial(folder / f"s3-{number}", f"s3://faults{number}/store")
            process = trial.start()
            while process.poll() is None and len(trial.finished()) <= 3 * number:
                time.sleep(0.5)
            server.kill()
            ended = process.wait(SECONDS)
            told = (trial.folder / "log").read_text()
            tally.lost += ended != 1 or "Traceback" in told or "does not answer" not in told
            server.start()
            judge(trial, expected, tally)
            tell("S3 server killed", tally, count)
    return tally


def two_at_once(folder: Path, expected: dict[str, float], count: int) -> Tally:
    """Two mixes that share all of their mixtures, run at the same moment in one store: each is trained once."""
    tally = Tally()
    for number in range(count):
        trial = Trial(folder / f"two-{number}")
        other = trial.config.with_name("other.yaml")
        other.write_text(trial.config.read_text().replace("name: faults", "name: other", 1))
        processes = [trial.start(config=config) for config in (trial.config, other)]
        ended = [process.wait(SECONDS) for process in processes]
        trained = sum(trial.trained(name) for name in ("faults", "other"))
        tally.tried += 1
        tally.lost += ended != [0, 0] or trial.mixture() != expected or not trial.is_whole()
        tally.repeated += trained - len(trial.finished())
        tell("two runs at once", tally, count)
        tidy(trial, tally)
    return tally


def clock_set_back(folder: Path, expected: dict[str, float]) -> Tally:
    """Half a run today, the rest of it yesterday."""
    tally = Tally()
    trial = Trial(folder / "clock")
    process = trial.start()
    while process.poll() is None and len(trial.finished()) < 3:
        time.sleep(0.05)
    process.kill()
    process.wait()
    judge(trial, expected, tally, LD_PRELOAD=str(FAKETIME), FAKETIME="-1d")
    return tally


def tell(what: str, tally: Tally, count: int) -> None:
    print(f"{what}: {tally.tried} of {count}, lost {tally.lost}, repeated {tally.repeated}", flush=True)


def tidy(trial: Trial, tally: Tally) -> None:
    if not tally.lost:
        shutil.rmtree(trial.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, help="kills at random moments")
    parser.add_argument("--writes", type=int, default=20, help="kills while a file is being written")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="olmix-faults-"))
    with Server(folder) as server:
        plain = Trial(folder / "undisturbed")
        began = time.monotonic()
        if plain.run() != 0:
            sys.exit(f"the undisturbed run failed: see {plain.folder / 'log'}")
        seconds, expected = time.monotonic() - began, plain.mixture()
        assert expected is not None
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        kinds: dict[str, Callable[[], Tally]] = {
            "killed at a random moment": lambda: at_random_moments(
                folder, expected, seconds, arguments.moments, arguments.seed
            ),
            "killed while writing": lambda: while_writing(folder, expected, arguments.writes, arguments.seed),
            "two runs at once": lambda: two_at_once(folder, expected, 5),
            "Prefect server killed and started again": lambda: server_killed(folder, expected, server, seconds, 3),
        }
        if os.geteuid() == 0:
            kinds["disk full"] = lambda: disk_full(folder, expected, ["300k", "1m", "1600k"])
            kinds["store read-only"] = lambda: read_only(folder, expected)
        if (BIN / "swift-proxy-server").exists():
            kinds["S3 server killed and started again"] = lambda: s3_server_killed(folder, expected, 3)
        if FAKETIME.exists():
            kinds["clock set back a day"] = lambda: clock_set_back(folder, expected)
        tallies = {kind: fault() for kind, fault in kinds.items()}
    print()
    table(("fault", "tried", "lost", "repeated"), [(kind, *tally.row()) for kind, tally in tallies.items()])
    write("bench_faults", {"faults": {kind: vars(tally) for kind, tally in tallies.items()}, "run_seconds": seconds})
    if any(tally.lost or tally.repeated for tally in tallies.values()):
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
