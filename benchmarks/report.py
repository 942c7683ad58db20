"""What every benchmark leaves behind: its figures with the machine, the versions, the date and the command."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "pandas", "cvxpy", "clarabel", "torch")


def _processor() -> str:
    """Name of the processor, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def write(name: str, figures: dict[str, Any]) -> None:
    """Write benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "command": " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        **figures,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows under a header, numbers to four significant digits."""
    text = [header, *(tuple(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row) for row in rows)]
    widths = [max(len(row[i]) for row in text) for i in range(len(header))]
    for row in text:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
