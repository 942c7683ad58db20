"""Settings in mix.json are written as they were read, keys of other versions included."""

from olmix_core.mixes.record import parse_record
from tests.support.records import record_json


def test_settings_of_the_recipe_are_written_as_they_were_read() -> None:
    proxy = {"width": 8, "tokens": 1024, "trainer": None, "later": 1}
    value = record_json()
    value["settings"]["proxy"] = proxy
    value["tokenizer"]["settings"] = {"kind": "file", "content": "abc", "eos": None}
    written = parse_record(value, "mix.json").to_json()
    assert written["settings"]["proxy"] == proxy
    assert written["tokenizer"] == value["tokenizer"]
