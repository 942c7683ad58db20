"""Rows of the ledger."""

from olmix_core.evidence.rows import EvidenceRow


def row(number: int, swarm: str = "s") -> EvidenceRow:
    """A row on two leaves and one task; `number` is in its name and its BPB."""
    return EvidenceRow(
        f"p{number:05d}", {"a": 0.25, "b": 0.75}, {"t": 1 + number / 1000}, {"layers": 2}, "tok", swarm, 1
    )
