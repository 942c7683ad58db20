"""`olmix swarm export` and `olmix evidence export`: mixtures and evidence as files for other programs.

The formats are in `exporters`.
"""

from pathlib import Path

import pandas as pd

from olmix_core.evidence.merge import MergedEvidence
from olmix_core.interop.exporters.evidence import EvidenceExporter
from olmix_core.interop.exporters.mixtures import MixtureExporter, SwarmExport
from olmix_core.storage.store import Store


def export_mixtures(output: Path, exporter: MixtureExporter, swarm: SwarmExport) -> list[Path]:
    """Write the mixtures of a swarm, a file each, and ratios.csv with a row per mixture.

    Results are read back by the names of runs.

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


def export_evidence(evidence: MergedEvidence, folder: Path, exporter: EvidenceExporter) -> list[str]:
    """Write evidence to a folder.

    Args:
        evidence: The evidence.
        folder: The folder to write; files of the same names are replaced.
        exporter: Format of the files.

    Returns:
        Names of the files.

    Raises:
        DataError: If the format cannot hold the evidence.
        StoreError: If the folder cannot be written.
    """
    return exporter.write(evidence, Store(str(folder.resolve())))
