"""Swarm files of the published tool: joined by run id, filtered, and checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from olmix_core.errors import ConfigError, DataError, OlmixError
from tests.support.published_swarm import RUNS, Project, read, refused, run


def test_columns_of_ids_and_labels(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    expected = read(write(ratios, metrics))
    labelled = ratios.reset_index(names="run_id").assign(name="x", index=range(RUNS))
    labelled.to_csv(path := write(ratios, metrics.rename_axis("run")).parent / "ratios.csv")  # with an unnamed column
    swarm = read(path.parent / "fit.yaml")
    assert swarm.evidence.leaves == expected.evidence.leaves
    assert np.array_equal(swarm.evidence.X, expected.evidence.X)


def test_run_ids_stay_text(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    ids = [f"{k:03d}" for k in range(RUNS)]
    swarm = read(write(ratios.set_axis(ids), metrics.set_axis(ids)))
    assert swarm.evidence.runs == tuple(ids)


def test_a_missing_run_is_counted_and_left_out(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    swarm = read(write(ratios.drop("r07"), metrics.drop("r11")))
    expected = read(write(ratios.drop(["r07", "r11"]), metrics.drop(["r07", "r11"])))
    assert "1 run only in swarm.ratios, left out: r11" in swarm.notes
    assert "1 run only in swarm.metrics, left out: r07" in swarm.notes
    assert np.array_equal(swarm.evidence.X, expected.evidence.X)
    assert np.array_equal(swarm.evidence.Y, expected.evidence.Y)


def test_no_common_run(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    with refused(DataError, "no run id that both have"):
        read(write(ratios, metrics.set_axis([f"other{k}" for k in range(RUNS)])))


def test_a_task_measured_almost_nowhere(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    metrics.loc[metrics.index[3:], "sums"] = np.nan
    with refused(ConfigError, "swarm.metrics", "3 runs with a value of 'sums'", "drop_metrics"):
        read(write(ratios, metrics))
    kept = read(write(ratios, metrics, filtering={"drop_metrics": ["sums"]}))
    assert kept.evidence.tasks == ("coding", "reading")


def test_a_metric_that_is_not_a_number(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    metrics = metrics.assign(state="finished")
    with refused(DataError, "column state", "'finished'", "expected a number"):
        read(write(ratios, metrics))
    kept = read(write(ratios, metrics, filtering={"drop_metrics": ["state"]}))
    assert kept.evidence.tasks == ("coding", "reading", "sums")


def test_weights_must_sum_to_1(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    with refused(DataError, "run r00", "sum to 0.9 ", "40 of 40 runs"):
        read(write(0.9 * ratios, metrics))
    rounded = read(write(ratios.round(3), metrics))
    assert rounded.evidence.X.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert any("do not sum to 1 exactly" in note for note in rounded.notes)


def test_weights_that_rounding_left_below_0_are_0(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    def read_with(below: float) -> np.ndarray:
        weights = ratios.to_numpy(np.float64, copy=True)
        weights[3, 1] += weights[3, 0] - below
        weights[3, 0] = below
        return read(write(pd.DataFrame(weights, ratios.index, ratios.columns), metrics)).evidence.X

    exact = read_with(0.0)
    assert read_with(-2e-17) == pytest.approx(exact, abs=1e-15)
    assert read_with(-0.0) == pytest.approx(exact, abs=1e-15)
    assert read_with(-3e-10) == pytest.approx(exact, abs=1e-9)
    with refused(OlmixError, "r03", "-1"):
        read_with(-1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("r03,", "r02,"), ("'r02' twice",)),
        (lambda text: text.replace("math", "code:go"), ("column 'code:go' twice",)),
        (lambda text: text.replace("run,", "id,"), ("run or run_id",)),
        (lambda text: text.replace("\nr04,0.", "\nr04,O."), ("run r04", "web:news", "expected a number")),
        (lambda text: text.replace("\nr04,", "\nr04,-"), ("run r04",)),
        (lambda text: "\n".join([*text.splitlines()[:-1], "r39,,,,,1"]), ("run r39", "empty cell")),
        (lambda text: text.splitlines()[0], ("no values",)),
        (lambda text: "", ("no CSV table",)),
    ],
)
def test_invalid_ratios(
    write: Project,
    ratios: pd.DataFrame,
    metrics: pd.DataFrame,
    change: Callable[[str], str],
    words: tuple[str, ...],
) -> None:
    path = write(ratios, metrics)
    file = path.parent / "ratios.csv"
    file.write_text(change(file.read_text()))
    with refused(OlmixError, *words):
        read(path)


def test_paths_are_relative_to_the_working_directory_first(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(ratios, metrics)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert len(read(path).evidence.runs) == RUNS
    ratios.head(10).rename_axis("run").to_csv(here / "ratios.csv")
    assert len(read(path).evidence.runs) == 10
    (path.parent / "metrics.csv").unlink()
    with refused(ConfigError, "swarm.metrics", "no file 'metrics.csv'"):
        read(path)


def test_filtered_domains(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    ratios.iloc[:30, 2:] = 0
    ratios = ratios.div(ratios.sum(axis=1), axis=0)
    ratios.iloc[0] = [1, 0, 0, 0, 0]
    web = ["web:news", "web:blogs"]
    supported = read(write(ratios, metrics, filtering={"support_domains": web}))
    assert supported.evidence.leaves == ("web:blogs", "web:news")
    assert len(supported.evidence.runs) == 30
    kept = read(write(ratios, metrics, filtering={"keep_sources": web}))
    assert len(kept.evidence.runs) == 29
    with refused(ConfigError, "filtering.keep_sources", "'web'"):
        read(write(ratios, metrics, filtering={"keep_sources": ["web"]}))


@pytest.fixture
def subjects(metrics: pd.DataFrame) -> pd.DataFrame:
    """Metrics with three MMLU subjects of two groups."""
    return metrics.assign(
        **{
            "mmlu_astronomy:rc::olmes": metrics["sums"] + 0.1,  # 152 questions
            "mmlu_machine_learning:rc::olmes": metrics["coding"],  # 112
            "mmlu_anatomy:rc::olmes": metrics["reading"],
        }
    )


def test_mmlu_subjects_become_groups(write: Project, ratios: pd.DataFrame, subjects: pd.DataFrame) -> None:
    swarm = read(write(ratios, subjects))
    assert swarm.evidence.tasks == ("coding", "mmlu_other", "mmlu_stem", "reading", "sums")
    expected = (152 * subjects["mmlu_astronomy:rc::olmes"] + 112 * subjects["coding"]) / 264
    assert swarm.evidence.Y[:, 2] == pytest.approx(expected.to_numpy(), abs=1e-12)
    assert any("mmlu_stem (2 of 18 subjects), mmlu_other (1 of 14 subjects)" in note for note in swarm.notes)


def test_existing_groups_are_kept(write: Project, ratios: pd.DataFrame, subjects: pd.DataFrame) -> None:
    swarm = read(write(ratios, subjects.assign(**{"eval/mmlu_stem_5shot": 1 + subjects["sums"]})))
    assert "mmlu_astronomy:rc::olmes" in swarm.evidence.tasks


def test_families_are_means_of_their_tasks(write: Project, ratios: pd.DataFrame, subjects: pd.DataFrame) -> None:
    families = {"code": ["coding"], "rest": ["sums", "mmlu_astronomy:rc::olmes", "mmlu_machine_learning:rc::olmes"]}
    path = write(
        ratios,
        subjects,
        eval={"type": "offline", "tasks": families},
        regression={"aggregate_task_families": True},
        filtering={"obj_weights": {"code": "1/4", "rest": "3/4"}},
    )
    swarm = run(path)
    assert swarm.surrogate.tasks == ("code", "rest")
    assert [task.weight for task in swarm.record.tasks] == [0.25, 0.75]
    stem = (152 * subjects["mmlu_astronomy:rc::olmes"] + 112 * subjects["coding"]) / 264
    expected = (subjects["sums"] + stem) / 2
    assert read(path).evidence.Y[:, 1] == pytest.approx(expected.to_numpy(), abs=1e-12)


def test_selected_tasks(write: Project, ratios: pd.DataFrame, subjects: pd.DataFrame) -> None:
    inloop = {"type": "inloop", "tasks": {"code": {"coding_bpb": "coding"}, "math": {"sums_bpb": "sums"}}}
    assert read(write(ratios, subjects, eval=inloop)).evidence.tasks == ("coding", "sums")
    group = {"tasks": {"qa": ["mmlu_stem"]}}
    assert read(write(ratios, subjects, eval=group)).evidence.tasks == ("mmlu_stem",)
    with refused(ConfigError, "eval.tasks.qa", "'trivia'", "reading"):
        read(write(ratios, subjects, eval={"tasks": {"qa": ["trivia"]}}))
    apart = {"tasks": {"a": ["mmlu_astronomy:rc::olmes"], "b": ["mmlu_machine_learning:rc::olmes"]}}
    with refused(ConfigError, "mmlu_stem in a and b"):
        read(write(ratios, subjects, eval=apart))
