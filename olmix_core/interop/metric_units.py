"""What the metrics of a CSV file are: bits per byte (BPB), or values that are converted on request.

    metrics:
      arc_acc: {as: higher_is_better}                     # 1 - value; `best: 100` for per cent
      wiki_ppl: {as: perplexity, bytes_per_token: 4.3}    # log2(value) / bytes_per_token
      c4_loss: {as: nats_per_token, bytes_per_token: 4.3}
      rare_bpb: {as: bits_per_byte}                       # in spite of its name or its values

Columns without an entry must be BPB. One that cannot be is an error: by its name (of an experiment tracker, an
accuracy, a perplexity, a loss), by its values (out of range, whole numbers), or by its correlations (it rises where all
others fall, as an accuracy does).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from scipy.stats import spearmanr

from olmix_core.config.base import Section
from olmix_core.errors import ConfigError
from olmix_core.interop.labels import did_you_mean, listed

DROP = "filtering.drop_metrics"  # how a column is dropped, in messages
MOST_BPB = 20.0  # a byte of 8 bits is never worse than this to a model that has learnt anything
_LEAST = 1e-6  # of an error rate, since a law is positive
_FEWEST_VALUES = 3  # whole numbers
_FEWEST_RUNS, _FEWEST_OTHERS, _OPPOSED = 8, 2, -0.5  # never met by the tasks of the released swarms

_TRACKER = re.compile(
    r"_.*|(train_|eval_|val_|test_|trainer_|global_|total_|num_|gpu_|wall_)*(steps?|epochs?|iterations?|runtime|timestamp|time|duration|seconds"
    r"|clock|clock_time|time_s|mem|flos|tokens|samples|examples|lr|learning_rate|grad(ient)?_norm|throughput|flops|mfu|memory|seed|batch_size"
    r"|(tokens|samples|steps)_per_second)"
)  # the last part of a name such as train/global_step

# Words of a name, of which one is enough.
_BETTER_HIGHER = frozenset("acc accuracy em f1 exact pass correct bleu rouge auc auroc reward winrate".split())  # noqa: SIM905
_PERPLEXITY = frozenset(["ppl", "perplexity"])
_LOSS = frozenset(["loss", "nll", "nats", "entropy", "ce"])
_BITS = frozenset(["bpb", "bits"])

Unit = Literal["bits_per_byte", "nats_per_byte", "bits_per_token", "nats_per_token", "perplexity", "higher_is_better"]


class Metric(Section):
    """What a column of metrics is, if it is no BPB or does not look like it."""

    unit: Unit = Field(alias="as")
    bytes_per_token: Annotated[float, Field(gt=0)] | None = None
    best: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fields_of_the_unit(self) -> "Metric":
        if self.unit in ("bits_per_token", "nats_per_token") and self.bytes_per_token is None:
            raise ValueError(
                f"found as: {self.unit} without bytes_per_token; expected the bytes of the text divided by its tokens"
            )
        if self.bytes_per_token is not None and self.unit not in ("bits_per_token", "nats_per_token", "perplexity"):
            raise ValueError(f"found bytes_per_token with as: {self.unit}; expected it for values per token only")
        if self.best is not None and self.unit != "higher_is_better":
            raise ValueError(f"found best with as: {self.unit}; expected it with higher_is_better only")
        return self

    @property
    def scale(self) -> str | None:
        """Name of the scale of converted values, if it is not BPB."""
        if self.unit == "higher_is_better":
            return f"1 - value / {self.best or 1:g}"
        return "bits per token" if self.unit == "perplexity" and self.bytes_per_token is None else None

    def convert(self, values: pd.Series) -> pd.Series:
        """Convert values to BPB, or to `scale`.

        Args:
            values: Values of one column; NaN where a run was not evaluated.

        Returns:
            Converted values, lower is better.

        Raises:
            ValueError: If a value is out of range, with what was found and expected.
        """
        if self.unit == "higher_is_better":
            best = self.best or 1.0
            self._check(values, 0.0, best, f"0 to {best:g}; `best` is the largest possible value (100 for per cent)")
            return (1 - values / best).clip(lower=_LEAST)
        if self.unit == "perplexity":
            self._check(values, 1 + 1e-9, math.inf, "a perplexity above 1")
            return values.map(math.log2, na_action="ignore") / (self.bytes_per_token or 1.0)
        nats = self.unit.startswith("nats")
        return values / (math.log(2) if nats else 1.0) / (self.bytes_per_token or 1.0)

    def _check(self, values: pd.Series, low: float, high: float, expected: str) -> None:
        bad = values[(values < low) | (values > high)]
        if len(bad):
            raise ValueError(f"found {bad.iloc[0]:g} in run {bad.index[0]}; expected {expected}")


def convert_metrics(file: str, units: Mapping[str, Metric], metrics: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Convert the columns that have an entry.

    Args:
        file: The configuration, for messages.
        units: Its entries by column.
        metrics: A row per run, a column per metric.

    Returns:
        The metrics, and a remark per converted column.

    Raises:
        ConfigError: If an entry has no column, or a value is out of range.
    """
    notes = []
    for name, metric in units.items():
        if name not in metrics.columns:
            hint = did_you_mean(name, metrics.columns)
            raise ConfigError(
                file, f"metrics.{name}", repr(name), f"a column of metrics: {listed(metrics.columns)}{hint}"
            )
        try:
            metrics = metrics.assign(**{name: metric.convert(metrics[name])})
        except ValueError as error:
            found, _, expected = str(error).removeprefix("found ").partition("; expected ")
            raise ConfigError(file, f"metrics.{name}", found, expected) from error
        if metric.unit != "bits_per_byte":
            scale = "BPB" if metric.scale is None else f"{metric.scale}, which the mean over tasks takes as BPB"
            notes.append(f"{name}: {metric.unit} converted to {scale}")
    return metrics, notes


def check_metrics(file: str, units: Mapping[str, Metric], metrics: pd.DataFrame) -> None:
    """Refuse columns that cannot be BPB.

    Args:
        file: The configuration, for messages.
        units: Its entries; columns with one are not checked by name, nor for whole numbers or correlations.
        metrics: A row per run, a column per metric that is used.

    Raises:
        ConfigError: If there is such a column; the message says how to drop or convert it.
    """
    unnamed = [name for name in metrics.columns if name not in units]
    kinds = {name: _kind(name, metrics[name].dropna()) for name in unnamed}
    for kind, advice in _ADVICE.items():
        names = [name for name in unnamed if kinds[name] == kind]
        if names:
            raise _refusal(file, names, kind, advice, metrics)
    for name in metrics.columns:
        values = metrics[name].dropna()
        if name in units and units[name].unit == "bits_per_byte":
            continue
        if len(values) and not (values.min() > 0 and values.max() <= MOST_BPB):
            raise _refusal(file, [name], f"values outside 0 to {MOST_BPB:g}", _CONVERT, metrics)
    opposed = [name for name in _opposed(metrics) if name in unnamed]
    if opposed:
        raise _refusal(file, opposed, "values that rise where those of all others fall", _HIGHER, metrics)


def suspects(metrics: pd.DataFrame) -> list[str]:
    """Find columns of BPB that `check_metrics` would take for something else.

    Args:
        metrics: A row per run, a column per metric, in BPB.

    Returns:
        Their names.
    """
    kinds = {name: _kind(name, metrics[name].dropna()) for name in metrics.columns}
    opposed = set(_opposed(metrics))
    return [name for name, kind in kinds.items() if kind or name in opposed or metrics[name].max() > MOST_BPB]


_CONVERT = "or say under metrics what they are, {example}: {{as: UNIT}}"
_HIGHER = "or convert them, metrics: {{{example}: {{as: higher_is_better}}}}"
_ADVICE = {
    "the name of a tracker's column": _CONVERT,
    "the name of an accuracy": _HIGHER,
    "the name of a perplexity": "or convert them, metrics: {{{example}: {{as: perplexity, bytes_per_token: 4.3}}}}",
    "the name of a loss": "or convert them, metrics: {{{example}: {{as: nats_per_token, bytes_per_token: 4.3}}}}",
    "whole numbers": _CONVERT,
}


def _kind(name: str, values: pd.Series) -> str | None:
    """Why a column is no BPB, by its name and values; a key of `_ADVICE`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # CrossEntropyLoss
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if not words & _BITS:
        if _TRACKER.fullmatch(name.lower().split("/")[-1].replace(" ", "_")):
            return "the name of a tracker's column"
        for kind, words_of_kind in (("an accuracy", _BETTER_HIGHER), ("a perplexity", _PERPLEXITY), ("a loss", _LOSS)):
            if words & words_of_kind:
                return f"the name of {kind}"
    whole = len(values) >= _FEWEST_VALUES and bool((values == values.round()).all())
    return "whole numbers" if whole and values.nunique() > 1 else None


def _opposed(metrics: pd.DataFrame) -> list[str]:
    """Columns with values in 0 to 1 whose rank correlations with all other columns are negative."""
    metrics = metrics.loc[:, metrics.nunique() > 1].dropna()
    if len(metrics) < _FEWEST_RUNS or metrics.shape[1] <= _FEWEST_OTHERS:
        return []
    correlations = np.asarray(spearmanr(metrics.to_numpy()).statistic, dtype=np.float64)
    np.fill_diagonal(correlations, np.nan)
    opposed = (np.nanmax(correlations, axis=1) < 0) & (np.nanmedian(correlations, axis=1) <= _OPPOSED)
    shares = (metrics.min() >= 0) & (metrics.max() <= 1)
    return list(metrics.columns[opposed & shares.to_numpy()])


def _refusal(file: str, names: Sequence[str], kind: str, advice: str, metrics: pd.DataFrame) -> ConfigError:
    """The error for columns that are no BPB for one reason."""
    values = metrics[names[0]].dropna()
    more = f", as in {listed(names[1:])}" if len(names) > 1 else ""
    spread = f" ({values.min():.4g} to {values.max():.4g})" if len(values) else ""
    example = advice.format(example=names[0])
    expected = f"bits per byte; drop such columns ({DROP}), {example}; as: bits_per_byte, if they are that after all"
    return ConfigError(file, f"metrics.{names[0]}", f"{kind}{spread}{more}", expected)
