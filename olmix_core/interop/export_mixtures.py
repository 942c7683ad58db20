"""`olmix swarm export`: the mixtures of a swarm as files for another trainer, one per mixture.

Beside them `ratios.csv`, as the published tool writes it: run, name, index, and a weight per leaf. Results are read
back by these names of runs. The formats are in `exporters.mixtures`.
"""

from pathlib import Path

import pandas as pd

from olmix_core.interop.exporters.mixtures import MixtureExporter, SwarmExport


def export_mixtures(output: Path, exporter: MixtureExporter, swarm: SwarmExport) -> list[Path]:
    """Write the mixtures of a swarm, and ratios.csv.

    Args:
        output: The folder to write.
        exporter: Format of the files.
        swarm: The mixtures.

    Returns:
        The files of the mixtures.

    Raises:
        DataError: If the format cannot express a domain.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(len(swarm.mixtures)):
        file = output / f"{swarm.run_name(number)}{exporter.suffix}"
        file.write_text(exporter.render(swarm, number), encoding="utf-8")
        files.append(file)
    _ratios(swarm).to_csv(output / "ratios.csv", index=False, lineterminator="\n")
    return files


def _ratios(swarm: SwarmExport) -> pd.DataFrame:
    """A row per mixture, as in ratios.csv of the published tool."""
    leaves = sorted(swarm.domains.leaves, key=lambda leaf: leaf.label)
    return pd.DataFrame(
        {
            "run": swarm.run_name(number),
            "name": swarm.name,
            "index": number,
            **{leaf.label: mixture.get(leaf.fingerprint, 0.0) for leaf in leaves},
        }
        for number, mixture in enumerate(swarm.mixtures)
    )
