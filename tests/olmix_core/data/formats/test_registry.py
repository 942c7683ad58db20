import re
from pathlib import Path

import pytest

from olmix_core.data.compression import compression_suffixes
from olmix_core.data.formats import (
    FORMATS,
    TextFormat,
    TokenFormat,
    formats,
    formats_at,
    suffix_of,
    suffixes,
    text_bytes,
)

DOCS = Path(__file__).parents[4] / "docs" / "domains.md"


@pytest.mark.parametrize("each", formats(), ids=lambda each: each.name)
def test_the_table_in_the_documentation_states_each_format_as_the_registry_does(
    each: TextFormat | TokenFormat,
) -> None:
    [row] = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{each.name}` |")]
    names = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
    is_compressed = set(each.all_suffixes) > set(each.suffixes)
    assert (
        row == f"| `{each.name}` | {names} | {'yes' if is_compressed else 'no'} | {each.description} | {each.refused} |"
    )


def test_the_documentation_lists_all_compressions_and_no_other() -> None:
    [line] = [line for line in DOCS.read_text().splitlines() if line.startswith("Compressed files end in ")]
    assert tuple(re.findall(r"`(\.[^`]+)`", line.partition(" after ")[0])) == compression_suffixes()


def test_every_module_of_the_folder_registers_a_format() -> None:
    folder = Path(__file__).parents[4] / "olmix_core" / "data" / "formats"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "registry"}
    assert len(formats()) == len(modules)


def test_the_suffix_names_the_format_in_any_case() -> None:
    assert suffix_of("S3://x/A.JSONL.GZ") == ".jsonl.gz"
    assert suffix_of("a.idx") is None
    assert formats_at("a.idx") == ()
    assert {".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".txt"} <= set(suffixes("text"))
    assert {".json.gz", ".ndjson", ".jsonl.bz2", ".jsonl.xz", ".csv.zstd", ".tar.gz"} <= set(suffixes("text"))
    assert not {".parquet.gz", ".npy.gz", ".bin.zst"} & set(suffixes())
    assert {".bin", ".npy"} <= set(suffixes("tokens"))
    assert suffixes() == (*suffixes("text"), *suffixes("tokens"))


def test_formats_with_an_index_or_a_magic_number_come_before_the_others() -> None:
    assert [each.name for each in formats_at("a.bin")] == ["tokens-megatron", "tokens-raw"]
    assert [each.name for each in formats_at("a.npy")] == ["tokens-numpy", "tokens-raw"]


def test_readers_stay_what_they_are_since_they_are_part_of_the_identity_of_a_leaf() -> None:
    text, jsonl, raw, megatron = (formats_at(name)[-1] for name in ("a.txt", "a.jsonl.gz", "a.npy", "a.bin"))
    assert isinstance(text, TextFormat)
    assert text.reader("a.txt", "body") == "text"
    assert isinstance(jsonl, TextFormat)
    assert jsonl.reader("a.jsonl.gz", "body") == ".jsonl.gz body"
    assert isinstance(raw, TokenFormat)
    assert (raw.reader(None), raw.reader("uint32")) == ("tokens-raw", "tokens-raw uint32")
    megatron = formats_at("a.bin")[0]
    assert isinstance(megatron, TokenFormat)
    assert megatron.reader("uint32") == "tokens-megatron"


def test_text_is_estimated_by_the_usual_compression() -> None:
    names = ("a.txt", "a.jsonl.gz", "a.ndjson.bz2", "a.parquet", "a.npy", "a.x")
    assert [text_bytes(name, 10) for name in names] == [10, 40, 40, 20, 10, 10]


@pytest.mark.parametrize(
    ("name", "suffix", "message"),
    [
        ("jsonl", ".x", "'jsonl' is registered already"),
        ("tokens-x", ".x", "is of kind text"),
        ("x", ".npy", "suffix .npy of 'x' belongs to"),
    ],
)
def test_a_format_that_collides_with_another_is_rejected(name: str, suffix: str, message: str) -> None:
    new = TextFormat(
        name=name, description="", refused="", suffixes={suffix: 1}, documents=lambda _raw, _file: iter(())
    )
    with pytest.raises(ValueError, match=message):
        FORMATS.register(new)
