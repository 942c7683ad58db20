"""Curves of what other settings of a proposal would give."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.proposal.request import ProposalRequest
from olmix_core.proposal.tradeoffs import trade_off_curves
from olmix_core.surrogate.base import Surrogate


def test_looser_settings_gain_more(surrogate: Surrogate, request_: ProposalRequest) -> None:
    table = trade_off_curves(surrogate, request_)
    curves = dict(list(table.groupby("parameter")))
    assert (np.diff(curves["kl"]["gain"]) <= 1e-7).all()  # a stronger pull gains less
    assert (np.diff(curves["kl"]["divergence"]) <= 1e-6).all()
    solved = curves["repetition"].dropna(subset=["bpb"])
    assert (np.diff(solved["bpb"]) <= 1e-3).all()  # KL included it falls; BPB alone nearly does
    longest = curves["target_tokens"].iloc[-1]  # four times the data with four epochs: only natural is feasible
    assert longest["divergence"] == pytest.approx(0, abs=1e-6)
    assert (table["gain_low"].dropna() <= table["gain"].dropna()).all()
    assert table["asked"].sum() == 3


def test_an_infeasible_setting_has_its_error_as_status(surrogate: Surrogate, request_: ProposalRequest) -> None:
    table = trade_off_curves(surrogate, replace(request_, repetition=0.5))
    tight = table[table["asked"] & (table["parameter"] == "repetition")].iloc[0]
    assert "no mixture is possible" in tight["status"]
    assert np.isnan(tight["bpb"])
