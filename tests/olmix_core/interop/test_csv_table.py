"""One CSV file: names of columns and run ids without white space, and rows of another length than the header."""

from pathlib import Path

import pytest

from olmix_core.errors import DataError
from olmix_core.interop.csv_table import CsvTable, read_columns, read_table


def table_of(folder: Path, text: str) -> CsvTable:
    path = folder / "ratios.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


@pytest.mark.parametrize(
    "header",
    [
        "run, code, math",
        " run ,code\t,math ",
        '"run"," code","math"',
        "\ufeffrun,\u00a0code,math",
        "run,code\u200b,math",
    ],
)
def test_white_space_in_the_header(tmp_path: Path, header: str) -> None:
    table = table_of(tmp_path, f"{header}\na, 0.25, 0.75\n b ,1,0\n")
    assert list(table.values.columns) == ["code", "math"]
    assert list(table.values.index) == ["a", "b"]
    assert table.values.to_numpy().tolist() == [[0.25, 0.75], [1, 0]]
    assert table.notes == ()
    assert read_columns(tmp_path / "ratios.csv") == ["code", "math"]


def test_two_columns_that_are_one_without_white_space(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratios.csv: found the column 'code' twice; expected each column once"):
        table_of(tmp_path, "run,code, code\na,0.5,0.5\n")


def test_labels_that_differ_by_case_or_inner_space_are_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, "run,code,Code,web news,webnews\na,0.5,0.5,0,0\nA,1,0,0,0\n")
    assert table.notes == (
        "ratios.csv: the columns 'Code' and 'code' differ by white space or case only; they count as two",
        "ratios.csv: the columns 'web news' and 'webnews' differ by white space or case only; they count as two",
        "ratios.csv: the runs 'A' and 'a' differ by white space or case only; they count as two",
    )


def test_an_id_column_in_another_case(tmp_path: Path) -> None:
    expected = "expected run or run_id among them .there is 'Run', which differs by white space or case only"
    with pytest.raises(DataError, match=expected):
        table_of(tmp_path, "Run,code\na,1\n")


def test_a_row_longer_than_the_header_never_shifts_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no CSV table .*Expected 2 fields in line 2, saw 3"):
        table_of(tmp_path, "run,code\na,1,\nb,1,\n")


def test_domains_named_as_missing_values(tmp_path: Path) -> None:
    table = table_of(tmp_path, "run,NA,null,,index\na,0.5,0.5,x,3\n")
    assert list(table.values.columns) == ["NA", "null"]


@pytest.mark.parametrize("cell", ["", " ", "NaN", " nan ", "\tNA", "null ", '" "'])
def test_empty_cells_in_any_spelling(tmp_path: Path, cell: str) -> None:
    table = table_of(tmp_path, f"run,code,math\na, 0.25 ,{cell}\nb,1,0\n").values
    assert table["code"].tolist() == [0.25, 1]
    assert (table["math"].isna().tolist(), table["math"]["b"]) == ([True, False], 0)
