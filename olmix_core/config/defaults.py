"""Default settings that several sections share, each with its source."""

RUNS_PER_DIMENSION = 3


def default_runs(free_dimensions: int) -> int:
    """K = 3 (d + 1) (paper, section 4)."""
    return RUNS_PER_DIMENSION * (free_dimensions + 1)


PAPER_KL = 0.05
