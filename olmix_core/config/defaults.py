"""Defaults that several packages share, each with its source in the paper (Chen et al. 2026, arXiv 2602.12237)."""

# Proxies for each free dimension (section 4).
RUNS_PER_DIMENSION = 3

# Weight lambda of the KL term of the objective (section 3).
PAPER_KL = 0.05


def default_runs(free_dimensions: int) -> int:
    """Number K of proxies of a swarm, 3 (d + 1) (section 4).

    Args:
        free_dimensions: Number d of free dimensions of the mixture.

    Returns:
        The number of proxies.
    """
    return RUNS_PER_DIMENSION * (free_dimensions + 1)
