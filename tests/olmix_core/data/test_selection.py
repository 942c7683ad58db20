"""Nothing at a path is passed over without a word, but what is no data for certain."""

import pytest

from olmix_core.data.selection import describe_files, globs, select
from olmix_core.errors import ConfigError
from olmix_core.storage.listing import ListedFile


def listed(*names: str, size: int = 5) -> list[ListedFile]:
    return [ListedFile(f"s3://lake/web/{name}", size) for name in names]


def names(files: tuple[ListedFile, ...]) -> list[str]:
    return [file.url.removeprefix("s3://lake/web/") for file in files]


@pytest.mark.parametrize(
    "name",
    ["b.json.lz4", "b.jsonl.br", "b.md", "b", "b.npy.gz", "b.parquet.zst", "b.mds", "b.zip", "b.jsonl.1", "b.JSONX"],
)
def test_a_file_of_unknown_format_is_no_less_than_an_error(name: str) -> None:
    selection = select(listed("a.jsonl.gz", name))
    assert (names(selection.files), names(selection.unknown)) == (["a.jsonl.gz"], [name])
    with pytest.raises(
        ConfigError, match=r"web\.paths: found 1 file \(.*\) of unknown format beside 1 that can be read"
    ):
        selection.check("mix.yaml", "web.paths", "skip it")
    assert select(listed("a.jsonl.gz", name), ["b*"]).unknown == ()


@pytest.mark.parametrize(
    "name",
    ["b.json.gz", "b.ndjson", "b.jsonl.bz2", "b.jsonl.xz", "b.jsonl.zstd", "b.json", "b.CSV", "b.tsv.gz", "b.arrow",
     "b.feather", "b.tar.gz", "b.warc.wet.gz", "b.txt.zst"],
)  # fmt: skip
def test_what_the_ecosystem_writes_is_read(name: str) -> None:
    assert names(select(listed("a.jsonl.gz", name)).files) == ["a.jsonl.gz", name]


@pytest.mark.parametrize(
    "name",
    ["README.md", "readme", "LICENSE", "Licence.md", "NOTICE", "_SUCCESS", "a.jsonl.md5", "SHA256SUMS", "a.txt.dvc",
     "dataset_info.json", "x/dataset_infos.json", "state.json", "deep_$folder$", "CITATION.cff"],
)  # fmt: skip
def test_what_is_no_data_for_certain_is_passed_over(name: str) -> None:
    selection = select(listed("a.jsonl", name))
    assert (names(selection.files), selection.unknown, selection.skipped) == (["a.jsonl"], (), ())


def test_an_empty_file_of_unknown_format_is_no_data() -> None:
    assert select([*listed("a.jsonl"), *listed("b.xyz", size=0)]).unknown == ()


def test_what_was_read_is_read_whatever_it_is_called() -> None:
    assert names(select(listed("README.txt", "LICENSE.jsonl", "changelog.parquet")).files) == [
        "README.txt", "LICENSE.jsonl", "changelog.parquet",
    ]  # fmt: skip


def test_what_tools_write_beside_tokens_is_no_data() -> None:
    files = listed("a.npy", "a.csv.gz", "b.bin", "b.idx", "c.csv.gz", "d.idx")
    selection = select(files)
    assert (names(selection.files), names(selection.unknown)) == (["a.npy", "b.bin", "c.csv.gz"], ["d.idx"])


def test_skip_is_matched_with_the_end_of_a_path() -> None:
    files = listed("a.jsonl", "b.pdf", "drafts/c.jsonl", "x/drafts/d.jsonl", "x/drafts-2/e.jsonl", "f.jsonl")
    selection = select(files, ["*.pdf", "drafts/*", "f.jsonl"])
    assert names(selection.files) == ["a.jsonl", "x/drafts-2/e.jsonl"]
    assert names(selection.skipped) == ["b.pdf", "drafts/c.jsonl", "x/drafts/d.jsonl", "f.jsonl"]


def test_links_to_a_file_and_the_file_are_one() -> None:
    blob = ListedFile("file:///blobs/1", 5, real="/blobs/1")
    link = ListedFile("file:///x/a.jsonl", 5, real="/blobs/1")
    other = ListedFile("file:///x/b.jsonl", 5, real="/blobs/1")
    assert select([blob, other, link]).files == (link,)
    real = ListedFile("file:///x/c.jsonl", 5, real="/x/c.jsonl")
    assert select([ListedFile("file:///x/a.jsonl", 5, real="/x/c.jsonl"), real]).files == (real,)


def test_a_link_that_leads_nowhere_is_an_error_unless_it_is_skipped() -> None:
    broken = ListedFile("file:///x/a.jsonl", 0, leads_to="../blobs/1")
    selection = select([*listed("a.jsonl"), broken])
    with pytest.raises(ConfigError, match=r"the link file:///x/a\.jsonl to \.\./blobs/1, where there is nothing"):
        selection.check("mix.yaml", "paths", "skip it")
    assert select([*listed("b.jsonl"), broken], ["a.*"]).broken == ()
    assert select([ListedFile("file:///x/README", 0, leads_to="gone")]).broken == ()


def test_files_in_words() -> None:
    files = listed("a.xyz", "b.xyz", "c.json.lz4", "d.tar.gz", "e")
    assert describe_files(files) == "5 files (1 *.lz4, 1 *.tar.gz, 2 *.xyz, ...: a.xyz, b.xyz, c.json.lz4 and 2 more)"
    assert describe_files(files[:1]) == "1 file (1 *.xyz: a.xyz)"
    assert globs(files) == ["*.lz4", "*.tar.gz", "*.xyz", "e"]
    assert select(files, globs(files)).unknown == ()
