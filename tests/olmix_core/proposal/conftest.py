"""A surrogate of five leaves, and a request for a mixture of them."""

import pytest

from olmix_core.proposal.request import ProposalRequest
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns

LEAVES = tuple(f"leaf{j:03d}" for j in range(5))


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return fit(
        diminishing_returns(5, 3).with_noise(0.003).evidence(40, seed=0),
        FitSettings(family="diminishing_returns", gamma=0.6),
    )


@pytest.fixture
def request_(surrogate: Surrogate) -> ProposalRequest:
    tokens = dict(zip(LEAVES, (400_000, 300_000, 200_000, 80_000, 20_000), strict=True))
    return ProposalRequest(
        columns=[{leaf: 1.0} for leaf in LEAVES],
        splits={},
        natural={leaf: count / 1_000_000 for leaf, count in tokens.items()},
        tokens=tokens,
        target_tokens=1_000_000,
        repetition=4,
        kl=0.02,
        task_weights=dict.fromkeys(surrogate.tasks, 1.0),
        sequence_length=512,
    )
