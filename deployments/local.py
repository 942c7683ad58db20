"""A Prefect server and a worker on this machine, with everything deployed: `make up`, and `make down` to end it.

    python deployments/local.py up | down

All files (the server's database, logs, the port) are in one folder, .server or $OLMIX_SERVER_FOLDER. Every process that
is started has that folder in its environment, and so have its children; `down` ends all processes that have it. So
there is no list of processes that could be out of date, and no process survives because its parent was killed.
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

from flows.execution import prefect_settings  # noqa: E402

FOLDER = Path(os.environ.get("OLMIX_SERVER_FOLDER") or ROOT / ".server").resolve()
MARK = "OLMIX_LOCAL_SERVER"  # {part}:{folder} in the environment of every process
PARTS = ("worker", "server")  # in the order in which they end: a stopped run reports its state to the server
PREFECT = [sys.executable, "-m", "prefect"]
POOL = "olmix"
FIRST_PORT, PORTS = 4200, 100
START_SECONDS = 180  # a first start makes a database
END_SECONDS = 20  # for each part to end by itself, before it is killed


def settings(port: int) -> dict[str, str]:
    """Environment of all parts; Prefect settings of the user (a database, say) win.

    Args:
        port: Port of the server.

    Returns:
        {variable: value}.
    """
    api = f"http://127.0.0.1:{port}/api"
    defaults = {
        **prefect_settings.PRIVATE,
        **prefect_settings.RECORDING,
        # So that limits held when a server was killed are released by the next one.
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
    """Find the processes of a part.

    Args:
        part: One of `PARTS`.

    Returns:
        The processes that run.
    """
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == f"{part}:{FOLDER}":
                processes.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # of another user, or gone
    return processes


def start(part: str, command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one.

    Args:
        part: One of `PARTS`; its output is appended to the log of that name.
        command: The command line.
        variables: Environment.

    Returns:
        The process.
    """
    with (FOLDER / f"{part}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env={**variables, MARK: f"{part}:{FOLDER}"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
        )


def deploy(variables: dict[str, str]) -> None:
    """Create the deployments of deployments/prefect.yaml on the server.

    Args:
        variables: Environment that names the server.
    """
    command = [*PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"the deployments of deployments/prefect.yaml could not be made:\n{done.stdout}{done.stderr}")


def fail(message: str) -> NoReturn:
    """End all processes, and exit with an error.

    Args:
        message: What went wrong.
    """
    down(quiet=True)
    sys.exit(f"error: {message}")


def is_free(port: int) -> bool:
    """Tell whether a port can be bound.

    Args:
        port: The port, on 127.0.0.1.

    Returns:
        Whether it is free.
    """
    with socket.socket() as probe:
        # As the server does: a port released a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_listening(port: int) -> bool:
    """Tell whether the server that this script started listens at a port.

    Args:
        port: The port.

    Returns:
        False also where another server listens.
    """
    for process in running("server"):
        with suppress(psutil.NoSuchProcess):
            connections = process.net_connections("tcp4")
            if any(item.laddr.port == port and item.status == psutil.CONN_LISTEN for item in connections):
                return True
    return False


def is_up(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for the server.

    Args:
        server: Its process.
        port: Its port.

    Returns:
        False if it ended, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            # Another server may have taken the port since it was found free.
            if is_listening(port):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5).close()
                return True
        time.sleep(0.3)
    return False


def start_server() -> int:
    """Start the server at the first free port.

    Returns:
        The port.
    """
    for port in filter(is_free, range(FIRST_PORT, FIRST_PORT + PORTS)):
        if port != FIRST_PORT:
            print(f"port {FIRST_PORT} is taken; taking {port}", flush=True)
        command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        if is_up(start("server", command, settings(port)), port):
            return port
        if is_free(port):
            log = (FOLDER / "server.log").read_text(errors="replace")
            fail(f"the server did not start; expected it within {START_SECONDS} s. The end of its log:\n{log[-3000:]}")
        down(quiet=True)
    fail(f"found no free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} on 127.0.0.1; expected one")


def prepare(variables: dict[str, str]) -> None:
    """Create the work pool and the automations of automations.yaml, which replace those of the same names.

    Args:
        variables: Environment that names the server.
    """
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
            for automation in yaml.safe_load((ROOT / "deployments/automations.yaml").read_text(encoding="utf-8")):
                for existing in await client.read_automations_by_name(automation["name"]):
                    await client.delete_automation(existing.id)
                await client.create_automation(AutomationCore.model_validate(automation))

    asyncio.run(create())


def up() -> None:
    """Start all parts, unless they run, and print the address."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    port_file = FOLDER / "port"  # written last
    if port_file.exists() and all(running(part) for part in PARTS):
        report(int(port_file.read_text()), "is running already")
        return
    down(quiet=True)  # the rest of a server or worker whose other part ended
    print("starting a Prefect server ...", flush=True)
    port = start_server()
    variables = settings(port)
    print("deploying ...", flush=True)
    prepare(variables)
    start("worker", [*PREFECT, "worker", "start", "--pool", POOL], variables)
    deploy(variables)
    port_file.write_text(str(port))
    report(port, "is up")


def report(port: int, state: str) -> None:
    """Print the address of the server, and what to do with it.

    Args:
        port: Its port.
        state: Its state.
    """
    print(
        f"the server {state}, with one worker; logs and database are in {FOLDER}\n"
        f"  look and start runs   http://127.0.0.1:{port}/deployments\n"
        f"  runs of olmix here    export PREFECT_API_URL=http://127.0.0.1:{port}/api\n"
        "  end all               make down"
    )


def down(quiet: bool = False) -> None:
    """End all processes. Runs in progress are stopped; results that they finished are kept.

    Args:
        quiet: Whether to print nothing.
    """
    ended = 0
    for part in PARTS:
        processes = running(part)
        ended += len(processes)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + END_SECONDS
        while processes and time.monotonic() < deadline:
            time.sleep(0.2)
            processes = running(part)
        while processes := running(part):  # a process may start another one while it ends
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.2)
    (FOLDER / "port").unlink(missing_ok=True)
    if not quiet:
        message = f"ended {ended} processes" if ended else "nothing was running"
        print(f"{message}; the history of runs stays in {FOLDER}" if FOLDER.exists() else message)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("up", "down"):
        sys.exit("usage: python deployments/local.py up | down")
    try:
        up() if sys.argv[1] == "up" else down()
    except KeyboardInterrupt:
        fail("stopped; nothing is left running")
