"""The command `olmix predict`: the numbers of the law, and files that hold no mixture."""

import json
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from flows.cli.predict import predict
from olmix_core.errors import DataError, OlmixError
from olmix_core.mixes.loading import load_folder

app = typer.Typer()
app.command()(predict)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


def test_csv_and_json_of_a_mixture_say_the_same(fitted: Path, tmp_path: Path) -> None:
    mixture = {"code:c": 0.25, "web:news": 0.5, "math & [logic]": 0.25}
    (tmp_path / "m.json").write_text(json.dumps(mixture))
    pd.DataFrame({"weight": mixture}).rename_axis("domain").assign(note="x").to_csv(tmp_path / "m.csv")
    found = [json.loads(run(fitted, "--mix", tmp_path / name, "--json").output) for name in ("m.json", "m.csv")]
    assert found[0] == found[1]
    expected = load_folder(fitted).predict(mixture)
    assert found[0]["objective"]["bpb"] == expected.objective.bpb
    assert found[0]["families"]["reading"]["low"] == expected.families["reading"].low
    assert [one["domain"] for one in found[0]["broken_caps"]] == ["code:c"]


def test_mix_csv_is_a_mixture(fitted: Path) -> None:
    proposed, read = (run(fitted, "--json", *more).output for more in ((), ("--mix", fitted / "mix.csv")))
    assert json.loads(read)["objective"]["bpb"] == pytest.approx(json.loads(proposed)["objective"]["bpb"], abs=1e-9)


def test_what_it_says(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("domain,weight\ncode:c,0.5\nmath & [logic],0.5\n")
    result = run(fitted, "--mix", tmp_path / "m.csv")
    assert result.exit_code == 0
    said = " ".join(result.output.split())  # wherever the lines break
    for words in ("by the law of fit", "weighted mean", "reading", "gain over natural", "is above its cap 0.1500"):
        assert words in said
    assert f"{load_folder(fitted).predict({'code:c': 0.5, 'math & [logic]': 0.5}).objective.bpb:.6f}" in said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", "leaf,weight\na,1\n", "found the columns leaf, weight; expected a column domain"),
        ("m.csv", "domain,weight\ncode:c,much\n", "code:c: found the weight 'much'; expected a number"),
        ("m.csv", "domain,weight\ncode:c,0.5\ncode:c,0.5\n", "found the domain 'code:c' twice"),
        ("m.csv", "domain,weight\n", "found no domain"),
        ("m.csv", "", "is not CSV"),
        ("m.json", '{"code:c": 0.5, "code:c": 0.5}', "found the domain 'code:c' twice"),
        ("m.json", "[1]", "expected {domain: weight}"),
        ("m.json", "{", "is not JSON"),
        ("m.json", '{"code:c": null}', "found the weight None"),
    ],
)
def test_a_file_that_holds_no_mixture(fitted: Path, tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    result = run(fitted, "--mix", tmp_path / name)
    assert isinstance(result.exception, DataError)
    assert words in str(result.exception)
    assert str(tmp_path / name) in str(result.exception)


def test_a_file_or_mix_that_is_not_there(fitted: Path, tmp_path: Path) -> None:
    assert "cannot be read" in str(run(fitted, "--mix", tmp_path / "none.csv").exception)
    missing = run("nothing", "--store", tmp_path / "store").exception
    assert isinstance(missing, OlmixError)
    assert "found no mix called 'nothing'" in str(missing)
