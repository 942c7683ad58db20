"""A Prefect server and a worker on this machine, with everything deployed: `make up`, and `make down` to end it.

    python deployments/local.py up | down

All that is kept (the server's database, logs, the port) is in one folder, .server or $OLMIX_SERVER_FOLDER. Whatever is
started has that folder in its environment, and so has what it starts in its turn; `down` ends all processes that have
it. So there is no list of processes that could be out of date, and none survives because its parent was killed.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flows.execution import prefect_settings as environment  # noqa: E402

FOLDER = Path(os.environ.get("OLMIX_SERVER_FOLDER") or ROOT / ".server").resolve()
MARK = "OLMIX_LOCAL_SERVER"  # {part}:{folder} in the environment of every process
PARTS = ("worker", "server")  # in the order in which they end: a run that is stopped tells the server so
PREFECT = [sys.executable, "-m", "prefect"]
POOL = "olmix"
FIRST_PORT, PORTS = 4200, 100
START_SECONDS = 180  # a first start makes a database
END_SECONDS = 20  # for each part to end in order, before it is killed


def settings(port: int) -> dict[str, str]:
    """The environment of all parts. What the user sets of Prefect (a database, say) holds."""
    api = f"http://127.0.0.1:{port}/api"
    defaults = {
        **environment.PRIVATE,
        **environment.RECORDING,
        # Limits that a killed server leaves taken are let go of by the next one.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    ours = {
        "PREFECT_HOME": str(FOLDER),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": api,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    return {**defaults, **os.environ, **ours}


def running(part: str) -> list[psutil.Process]:
    """The processes of a part."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == f"{part}:{FOLDER}":
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # of another user, or gone
    return found


def start(part: str, command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one; what it prints goes to a log."""
    with (FOLDER / f"{part}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env={**variables, MARK: f"{part}:{FOLDER}"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )


def deploy(variables: dict[str, str]) -> None:
    command = [*PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"the deployments of deployments/prefect.yaml could not be made:\n{done.stdout}{done.stderr}")


def fail(words: str) -> NoReturn:
    down(quiet=True)
    sys.exit(f"error: {words}")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server will: a port that was let go of a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_listening(port: int) -> bool:
    """Whether it is our server that is at `port`."""
    for process in running("server"):
        with suppress(psutil.NoSuchProcess):
            found = process.net_connections("tcp4")
            if any(one.laddr.port == port and one.status == psutil.CONN_LISTEN for one in found):
                return True
    return False


def is_up(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for the server; False where it ended instead, or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            # Another server may have taken the port since it was looked for.
            if is_listening(port):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5).close()
                return True
        time.sleep(0.3)
    return False


def start_server() -> int:
    """Start the server at the first free port, which is returned."""
    for port in filter(is_free, range(FIRST_PORT, FIRST_PORT + PORTS)):
        if port != FIRST_PORT:
            print(f"port {FIRST_PORT} is taken; taking {port}", flush=True)
        command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        if is_up(start("server", command, settings(port)), port):
            return port
        if is_free(port):
            log = (FOLDER / "server.log").read_text(errors="replace")
            fail(f"the server did not start; expected it within {START_SECONDS} s. Its last words:\n{log[-3000:]}")
        down(quiet=True)
    fail(f"found no free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} on 127.0.0.1; expected one")


def prepare(variables: dict[str, str]) -> None:
    """The work pool; and the automations of automations.yaml, in the place of those of the same names."""
    os.environ.update(variables)
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.events.schemas.automations import AutomationCore
    from prefect.workers.process import ProcessWorker

    async def create() -> None:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
        async with get_client() as client:
            await client.create_work_pool(pool, overwrite=True)
            for one in yaml.safe_load((ROOT / "deployments/automations.yaml").read_text(encoding="utf-8")):
                for known in await client.read_automations_by_name(one["name"]):
                    await client.delete_automation(known.id)
                await client.create_automation(AutomationCore.model_validate(one))

    asyncio.run(create())


def up() -> None:
    """Start all, unless it runs; prints where it is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = FOLDER / "port"  # written last
    if kept.exists() and all(running(part) for part in PARTS):
        tell(int(kept.read_text()), "is running already")
        return
    down(quiet=True)  # what is left of one that lost a part
    print("starting a Prefect server ...", flush=True)
    port = start_server()
    variables = settings(port)
    print("deploying ...", flush=True)
    prepare(variables)
    start("worker", [*PREFECT, "worker", "start", "--pool", POOL], variables)
    deploy(variables)
    kept.write_text(str(port))
    tell(port, "is up")


def tell(port: int, how: str) -> None:
    print(
        f"the server {how}, with one worker; logs and database are in {FOLDER}\n"
        f"  look and start runs   http://127.0.0.1:{port}/deployments\n"
        f"  runs of olmix here    export PREFECT_API_URL=http://127.0.0.1:{port}/api\n"
        "  end all               make down"
    )


def down(quiet: bool = False) -> None:
    """End all processes; runs that are under way are stopped, and what they finished is kept."""
    ended = 0
    for part in PARTS:
        found = running(part)
        ended += len(found)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + END_SECONDS
        while found and time.monotonic() < deadline:
            time.sleep(0.2)
            found = running(part)
        while found := running(part):  # one may start another while it ends
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.2)
    (FOLDER / "port").unlink(missing_ok=True)
    if not quiet:
        words = f"ended {ended} processes" if ended else "nothing was running"
        print(f"{words}; the history of runs stays in {FOLDER}" if FOLDER.exists() else words)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("up", "down"):
        sys.exit("usage: python deployments/local.py up | down")
    try:
        up() if sys.argv[1] == "up" else down()
    except KeyboardInterrupt:
        fail("stopped; nothing is left running")
