"""A request is a payload: its JSON is part of cache keys."""

import json
from dataclasses import replace

from olmix_core.proposal.request import Bound, ProposalRequest
from olmix_core.surrogate.base import Surrogate

LEAVES = tuple(f"leaf{j:03d}" for j in range(5))


def test_a_request_has_the_keys_of_the_payload(request_: ProposalRequest) -> None:
    request = replace(request_, bounds=(Bound(LEAVES[:2], 0.1, 0.4),), target_tokens=None)
    data = request.to_json()
    settings = {"kl", "target_tokens", "repetition", "pessimism", "sequence_length"}
    names = {"columns", "splits", "natural", "tokens", "bounds", "reference", "task_weights"}
    assert data.keys() == settings | names
    assert ProposalRequest.from_json(json.loads(json.dumps(data))) == request
    assert request.run_tokens == 1_000_000
    reusable = replace(request, reusable=[dict.fromkeys(LEAVES, 0.2)])
    assert reusable.to_json().keys() - data.keys() == {"reusable"}


def test_weights_of_tasks_are_in_the_order_of_the_surrogate(surrogate: Surrogate, request_: ProposalRequest) -> None:
    weights = {task: float(t + 1) for t, task in enumerate(surrogate.tasks)}
    backwards = dict(reversed(weights.items()))
    assert replace(request_, task_weights=backwards).weights_of_tasks(surrogate).tolist() == list(weights.values())
