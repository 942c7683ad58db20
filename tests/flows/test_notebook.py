"""The code of docs/notebook.md runs as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import olmix_core as olmix

PAGE = Path(__file__).parents[2] / "docs/notebook.md"


def test_the_study_of_the_page(
    finished: Callable[..., Callable[..., Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished(
        name="quickstart",
        domains=[{"name": name, "paths": f"{file}.jsonl"} for name, file in (("code", "code"), ("prose", "manual"))],
        evaluation={"tasks": [{"heldout": "code"}, {"heldout": "prose"}]},
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").rename(tmp_path / ".olmix")
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert len(code.strip().splitlines()) == 11
    study: dict[str, object] = {}
    exec(code, study)
    assert (tmp_path / "responses.png").stat().st_size > 5000
    printed = capsys.readouterr().out
    for words in ("shadow_price", "objective", "Interval(bpb="):
        assert words in printed
    mix = study["mix"]
    assert isinstance(mix, olmix.PublishedMix)
    # Bolder wishes cannot make the predicted mean worse.
    bolder = study["bolder"]
    assert isinstance(bolder, dict)
    assert mix.predict(bolder).objective.bpb <= mix.predict().objective.bpb + 1e-9


def test_the_page_names_what_there_is() -> None:
    text = PAGE.read_text()
    named = set(re.findall(r"^\| `(\w+)", text, re.M))
    public = {name for name in vars(olmix.PublishedMix) if not name.startswith("_")}
    public |= set(olmix.PublishedMix.__dataclass_fields__)
    assert named <= public
    assert set(olmix.__all__) <= set(re.findall(r"\w+", text)) | {"PublishedMix"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(olmix, "nothing")  # noqa: B009 - it is the name that is asked for
