"""Constraints that no mixture meets are refused, and the message names what to change."""

from typing import Any

import numpy as np
import pytest

from olmix_core.errors import ProposalError
from olmix_core.proposal.constraints import Groups
from olmix_core.proposal.feasibility import check_feasible


def refused(message: str, **changes: Any) -> None:
    given_: dict[str, Any] = {
        "expansion": np.eye(3),
        "caps": np.full(3, np.inf),
        "lower": None,
        "upper": None,
        **changes,
    }
    with pytest.raises(ProposalError, match=message):
        check_feasible(**given_, leaves=("web", "code", "math"))


def test_caps_that_sum_below_one_are_refused() -> None:
    refused(
        r"sum to 0.8 at most.*(math \(0.3\)).*allow 1.25 times the epochs, train on 0.8",
        caps=np.array([0.4, 0.1, 0.3]),
    )


def test_frozen_ratios_beyond_caps_are_refused() -> None:
    expansion = np.array([[0.9, 0.0], [0.1, 0.0], [0.0, 1.0]])
    refused(r"sum to 0.7 at most.*code", expansion=expansion, caps=np.array([np.inf, 0.04, 0.3]))


def test_contradictory_lower_bounds_are_refused() -> None:
    refused(r"code \(at least 0.5, at most 0.2\)", caps=np.array([1, 0.2, 1]), lower=np.array([0, 0.5, 0]))
    refused("lower bounds sum to 1.2", lower=np.array([0.5, 0.5, 0.2]))
    expansion = np.array([[0.9, 0.0], [0.1, 0.0], [0.0, 1.0]])
    refused(r"code \(at least 0.2, reachable 0.1\)", expansion=expansion, lower=np.array([0, 0.2, 0]))
    refused(
        "contradict each other.*code",
        expansion=expansion,
        lower=np.array([0, 0.08, 0]),
        upper=np.array([0.5, 1, 1]),
    )


def test_invalid_limits_are_refused() -> None:
    refused("caps must be 3 numbers", caps=np.array([1.0, np.nan, 1.0]))
    refused("lower must be 3 numbers", lower=np.array([0.1, -0.2, 0.0]))
    refused("does not sum to 1", expansion=0.5 * np.eye(3))
    refused("negative", expansion=np.array([[2.0, -1.0, 0.0]] * 3))


def test_infeasible_groups_are_refused() -> None:
    members = np.array([[1.0, 1.0, 0.0]])
    refused(r"text \(at least 0.9, at most 0.4\)", groups=Groups(("text",), members, np.array([0.9]), np.array([0.4])))
    text = Groups(("text",), members, np.zeros(1), np.array([0.3]))
    refused(r"sum to 0.8 at most.*text \(0.3\)", caps=np.array([1, 1, 0.5]), groups=text)
    expansion = np.array([[0.2, 0.0], [0.0, 0.0], [0.8, 1.0]])
    low = Groups(("text",), members, np.array([0.5]), np.ones(1))
    refused(r"text \(at least 0.5, reachable 0.2\)", expansion=expansion, groups=low)
    refused("a row of 3 for each of 1 groups", groups=Groups(("text",), np.ones((1, 2)), np.zeros(1), np.ones(1)))


def test_feasible_constraints_pass() -> None:
    check_feasible(np.eye(3), np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.1, 0.1]), None, ("web", "code", "math"))
