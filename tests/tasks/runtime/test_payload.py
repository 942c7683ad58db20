"""What fields of payloads declare: a cause, the step that a value comes from, or nothing for a setting."""

from tasks.runtime.payload import source_of
from tasks.steps.fit import fit
from tasks.steps.next_round import next_round
from tasks.steps.plan import plan
from tasks.steps.propose import propose


def test_the_nearest_declaration_holds() -> None:
    assert plan.sources == {"units": "DATA", "base": "DATA", "base.release": "PARAMS"}
    assert source_of(plan.sources, "base.weights.a") == "DATA"
    assert source_of(plan.sources, "base.release") == "PARAMS"
    assert source_of(plan.sources, "runs") == "PARAMS"


def test_an_inline_part_stands_beside_the_other_fields() -> None:
    assert propose.sources["fit"] == "fit"
    assert propose.sources["natural"] == "statistics"
    assert source_of(propose.sources, "kl") == "PARAMS"
    assert source_of(next_round.sources, "wish.columns") == "plan"
    assert source_of(next_round.sources, "wish.kl") == "PARAMS"
    assert source_of(fit.sources, "pool.revised.a") == "DATA"
