"""20,000 objects on S3, found and fingerprinted: seconds, memory, and what was asked of the server.

    python benchmarks/bench_listing.py [--objects 20000] [--leaves 20]

The server (moto) runs on the same machine, in memory. Each look is a process of its own; the second one has what the
first one remembered.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.report import table, write
from tests.support.s3_server import moto

OBJECTS = re.compile(r'"(?:\x1b\[\d+m)*(?:GET|HEAD) /bucket/data/')  # the log is coloured
LISTS = re.compile(r'"GET /bucket\?list-type=2')


def fill(objects: int, leaves: int) -> None:
    from olmix_core.storage import s3

    fs = s3.filesystem()
    fs.call_s3("create_bucket", Bucket="bucket")
    for leaf in range(leaves):
        names = range(leaf, objects, leaves)
        fs.pipe({f"bucket/data/source-{leaf:02d}/part-{n:05d}.txt": f"text number {n}\n".encode() * 20 for n in names})


def resolve_inputs(config: str) -> dict[str, float]:
    """One look at the inputs of `config`, with the figures of this process."""
    from olmix_core.config.load import load_config
    from olmix_core.planning.preflight import resolve_inputs

    loaded, begin, worked = load_config(config), time.perf_counter(), time.process_time()
    found = resolve_inputs(loaded, config)
    return {
        "leaves": len(found.domains.leaves),
        "files": sum(len(leaf.files) for leaf in found.domains.leaves),
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - worked,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--leaves", type=int, default=20)
    parser.add_argument("--config", help="only look at this configuration and print the figures as JSON")
    arguments = parser.parse_args()
    if arguments.config:
        print(json.dumps(resolve_inputs(arguments.config)))
        return
    with tempfile.TemporaryDirectory() as name, moto(Path(name)) as environment:
        folder = Path(name)
        os.environ |= {**environment, "OLMIX_CACHE_DIR": str(folder / "cache")}
        begin = time.perf_counter()
        fill(arguments.objects, arguments.leaves)
        print(f"{arguments.objects} objects: {time.perf_counter() - begin:.0f} s to upload\n")
        config = {
            "name": "listing",
            "store": "s3://bucket/store",
            "domains": [
                {"name": f"source-{leaf:02d}", "paths": f"s3://bucket/data/source-{leaf:02d}/part-*.txt"}
                for leaf in range(arguments.leaves)
            ],
            "proxy": {"layers": 1, "width": 16, "heads": 1, "sequence_length": 32, "batch_size": 2, "tokens": 2048},
            "evaluation": {"tasks": [{"heldout": "source-00"}]},
        }
        (folder / "mix.yaml").write_text(yaml.safe_dump(config))
        cases, read = [], (folder / "moto.log").stat().st_size
        for case in ("first look", "second look"):
            command = [sys.executable, "-m", "benchmarks.bench_listing", "--config", str(folder / "mix.yaml")]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            with (folder / "moto.log").open() as log:
                log.seek(read)
                lines = log.read()
            read += len(lines)
            asked = {"listings": len(LISTS.findall(lines)), "of_objects": len(OBJECTS.findall(lines))}
            cases.append({"case": case, **found, **asked})
    table(tuple(cases[0]), [tuple(case.values()) for case in cases])
    write("listing", {"cases": cases})


if __name__ == "__main__":
    main()
