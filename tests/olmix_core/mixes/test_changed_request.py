"""Terms of a published request, some of them changed."""

import pandas as pd
import pytest

from olmix_core.errors import OlmixError
from olmix_core.mixes.changed_request import PublishedTerms, changed_bounds, changed_caps, check_changes
from olmix_core.mixes.record import MixRecord
from olmix_core.proposal.request import Bound
from tests.support.records import record_json

TABLE = pd.DataFrame({"domain": ["a", "b"], "tokens": [500, 250], "cap": [0.9, 0.8]})


@pytest.fixture
def record() -> MixRecord:
    bounds = [{"domains": ["a", "b"], "low": 0.1, "high": 0.9}]
    return MixRecord.model_validate(record_json(wish={"bounds": bounds, "reference": None}))


def test_terms_are_those_of_the_settings(record: MixRecord) -> None:
    assert PublishedTerms.of(record) == PublishedTerms(kl=0.05, repetition=4.0, pessimism=0.0)


def test_limits_come_beside_the_bounds_on_record(record: MixRecord) -> None:
    on_record = Bound(("a", "b"), 0.1, 0.9)
    assert changed_bounds(record, {}) == (on_record,)
    changed = changed_bounds(record, {"lower": {"b": 0.2}, "upper": {"a": 0.5}})
    assert changed == (on_record, Bound(("a",), 0.0, 0.5), Bound(("b",), 0.2, 1.0))


def test_caps_follow_epochs_and_length_of_the_run(record: MixRecord) -> None:
    assert changed_caps(record, TABLE, {"kl": 1.0}).tolist() == [0.9, 0.8]
    assert changed_caps(record, TABLE, {"repetition": 1.0}).tolist() == [0.5, 0.25]
    assert changed_caps(record, TABLE, {"target_tokens": 2000.0}).tolist() == [1.0, 0.5]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'klx'; expected some of: kl, "):
        check_changes({"klx": 1.0}, ["a"])  # type: ignore[typeddict-unknown-key]
    with pytest.raises(OlmixError, match="found the domain 'c'; expected one of: a, b"):
        check_changes({"lower": {"c": 0.1}}, ["a", "b"])
