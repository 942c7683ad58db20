"""`olmix fit`: from the fit configuration and swarm files of the published tool to a mixture.

    fit_published(config, output)  ->  output/ mix.csv, mix.json, surrogate.json, diagnostics.csv, held_out.csv,
                                       trade_offs.csv, runs.parquet, report.html, predicted_vs_measured.png,
                                       mixture.png, effects.png, trade_offs.png

Domains are labels: their content is not known, so fingerprints are null. `differences` of mix.json lists where the
result differs from that of the published tool; `published_behaviour` follows that tool instead, except for its known
defects: rows are always joined by run id, a solution is used only with a certificate, and held-out runs do not
disable the proposal.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from olmix_core.interop.fit_domains import Domains
from olmix_core.interop.fit_inputs import FitInputs, read_inputs
from olmix_core.interop.fit_outputs import FILES, Cautions, as_csv, fit_record, fit_table, labelled, write_folder
from olmix_core.mixes.loading import read_files
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import FitRecord
from olmix_core.mixes.runs import held_out as held_out_runs
from olmix_core.mixes.runs import to_parquet
from olmix_core.proposal.solve import Proposal, ProposalProblem, propose
from olmix_core.proposal.tradeoffs import Point, trade_offs
from olmix_core.report.charts import plot
from olmix_core.report.page import report_html
from olmix_core.report.style import to_png
from olmix_core.storage.integrity import checksum, seal
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TRADE_OFFS_FILE,
)
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import Diagnostics, Folds
from olmix_core.surrogate.fit import cross_validate, fit
from olmix_core.surrogate.settings import SHARED_PRIOR, FitSettings
from olmix_core.surrogate.trust import held_out_notes, merged_flags, run_flags

ALL_OUTPUTS = frozenset(FILES)

_FOLDS = 5


@dataclass(frozen=True)
class PublishedFit:
    """A fit of published files and its proposal.

    Cross-validation and trade-offs take most of the time; both are computed on first use.

    Attributes:
        inputs: Configuration, swarm and domains.
        surrogate: The fitted law.
        proposal: The proposed mixture over the columns of ratios.
        output: The folder that is written.
        outputs: Names of the files to write there, of `ALL_OUTPUTS`.
    """

    inputs: FitInputs
    surrogate: Surrogate
    proposal: Proposal
    output: Path
    outputs: frozenset[str]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files written. There is no held_out.csv without held-out runs, no trade_offs.png without trade-offs."""
        absent = {"held_out.csv"} if self.held_out is None else set()
        absent |= set() if self.surrogate.is_convex else {"trade_offs.png"}
        return tuple(self.output / name for name in FILES if name in self.outputs - absent)

    @cached_property
    def table(self) -> pd.DataFrame:
        """mix.csv."""
        return fit_table(self.inputs.domains, self.proposal)

    @cached_property
    def cross_validation(self) -> Diagnostics:
        """Out-of-fold predictions of the fitted runs."""
        evidence, law = self.inputs.training, self.surrogate.fitted_law
        family = SHARED_PRIOR if law is not None and law.shared_prior is not None else self.surrogate.family
        return cross_validate(
            evidence,
            FitSettings(family=family, gamma=self.surrogate.gamma, ridge=self.inputs.ridge),
            task_weights=self.inputs.task_weights,
            folds=Folds(min(_FOLDS, len(evidence.runs)), self.inputs.config.regression.seed),
        )

    @cached_property
    def diagnostics(self) -> pd.DataFrame:
        """diagnostics.csv: cross-validated errors per task on the fitted runs."""
        return self.cross_validation.table()

    @cached_property
    def held_out(self) -> pd.DataFrame | None:
        """held_out.csv: errors per task on runs kept out of the fit; None without such runs."""
        return None if self._held_out is None else self._held_out.table()

    @cached_property
    def _held_out(self) -> Diagnostics | None:
        evidence = self.inputs.held_out
        return None if evidence is None else Diagnostics.of_runs(self.surrogate, evidence, self.inputs.task_weights)

    @cached_property
    def flags(self) -> dict[str, str]:
        """{task: reason} of tasks whose prediction needs caution."""
        held_out = {} if self._held_out is None else run_flags(self._held_out, "held out of the fit")
        return merged_flags(self.surrogate.flags, run_flags(self.cross_validation, "left out in turn"), held_out)

    @cached_property
    def trade_offs(self) -> pd.DataFrame:
        """trade_offs.csv: proposals for other KL weights, epochs and lengths; empty unless the surrogate is convex."""
        inputs, domains = self.inputs, self.inputs.domains

        def solve(changed: Mapping[str, Any]) -> Point:
            limits = {name: value for name, value in changed.items() if name != "kl"}
            proposal = _propose(self.surrogate, inputs, replace(domains, **limits), changed.get("kl", inputs.kl))
            return Point(proposal.weights, int(proposal.at_cap.sum()), proposal.status)

        capped = {"repetition": domains.repetition, "target_tokens": domains.target_tokens}
        varied = {"kl": inputs.kl, **(capped if domains.repetition is not None else {})}
        varied = varied if self.surrogate.is_convex else {}
        return trade_offs(self.surrogate, solve, varied, domains.natural(), inputs.task_weights)

    @cached_property
    def record(self) -> FitRecord:
        """mix.json, without the checksums of the other files."""
        cautions = Cautions(self.flags, held_out_notes(self.cross_validation))
        return fit_record(self.inputs, self.surrogate, self.proposal, self.table, cautions)

    @cached_property
    def mix(self) -> PublishedMix:
        """The fit as charts and the report read it from its files."""
        contents = {name: _TABLES[name](self) for name in _REPORT_SOURCES - {RECORD_FILE}}
        return read_files({**contents, RECORD_FILE: _sealed_record(self, contents)})


def fit_published(
    config: Path, output: Path, *, published_behaviour: bool = False, outputs: Collection[str] = ALL_OUTPUTS
) -> PublishedFit:
    """Fit a law to published files, propose a mixture, and write both to a folder.

    Args:
        config: A fit configuration of the published tool.
        output: The folder to write; files of an earlier fit are replaced or removed.
        published_behaviour: Follow the published tool where the default differs.
        outputs: Names of the files to write, of `ALL_OUTPUTS`. report.html brings the files that it reads.

    Returns:
        The fit and the names of the files.

    Raises:
        ConfigError: If the configuration cannot be read or does not fit the swarm files.
        DataError: If a swarm file cannot be read.
        FitError: If no law can be fitted.
        ProposalError: If no mixture meets the constraints.
        StoreError: If `output` cannot be written.
        ValueError: If `outputs` contains an unknown name.
            Nothing is written in any of these cases.
    """
    unknown = sorted(set(outputs) - ALL_OUTPUTS)
    if unknown:
        raise ValueError(f"found the output {unknown[0]!r}; expected some of {', '.join(FILES)}")
    names = frozenset(outputs) | (_REPORT_SOURCES if REPORT_FILE in outputs else frozenset())
    inputs = read_inputs(config, published_behaviour=published_behaviour)
    surrogate = fit(inputs.training, FitSettings(family=inputs.config.regression.type, ridge=inputs.ridge))
    proposal = _propose(surrogate, inputs, inputs.domains, inputs.kl)
    result = PublishedFit(inputs, surrogate, proposal, output, names)
    write_folder(output, _contents(result))
    return result


def _propose(surrogate: Surrogate, inputs: FitInputs, domains: Domains, kl: float) -> Proposal:
    """The optimal mixture for the given domains (and so caps) and weight of the KL term."""
    return propose(
        surrogate,
        ProposalProblem(
            expansion=inputs.expansion,
            natural=domains.reference(),
            caps=domains.caps(),
            kl=kl,
            task_weights=inputs.task_weights,
        ),
    )


_TABLES: Mapping[str, Callable[[PublishedFit], bytes]] = {
    TABLE_FILE: lambda fit: as_csv(fit.table, index=False),
    SURROGATE_FILE: lambda fit: seal(
        {**fit.surrogate.to_json(), "flags": fit.flags, "domains": labelled(fit.surrogate.leaves)}
    ),
    DIAGNOSTICS_FILE: lambda fit: as_csv(fit.diagnostics),
    "held_out.csv": lambda fit: as_csv(pd.DataFrame() if fit.held_out is None else fit.held_out),
    RUNS_FILE: lambda fit: to_parquet(held_out_runs(fit.inputs.training, fit.cross_validation)),
    TRADE_OFFS_FILE: lambda fit: as_csv(fit.trade_offs, index=False),
}

# Charts of the report, by the file that each is written to.
_CHARTS = {
    "trade_offs.png": "tradeoffs",
    "predicted_vs_measured.png": "predictions",
    "mixture.png": "mixture",
    "effects.png": "effects",
}

_REPORT_SOURCES = frozenset({TABLE_FILE, SURROGATE_FILE, DIAGNOSTICS_FILE, RUNS_FILE, TRADE_OFFS_FILE, RECORD_FILE})


def _contents(fit: PublishedFit) -> dict[str, bytes]:
    """Content of each file of the fit; mix.json has the checksums of all others but report.html."""
    names = [file.name for file in fit.files]
    contents = {name: render(fit) for name, render in _TABLES.items() if name in names}
    contents |= {name: to_png(plot(fit.mix, chart)) for name, chart in _CHARTS.items() if name in names}
    if RECORD_FILE in names:
        contents[RECORD_FILE] = _sealed_record(fit, contents)
    if REPORT_FILE in names:
        contents[REPORT_FILE] = report_html(fit.mix)
    return contents


def _sealed_record(fit: PublishedFit, contents: Mapping[str, bytes]) -> bytes:
    """mix.json with the checksums of the other files."""
    checksums = {name: checksum(content) for name, content in contents.items()}
    return seal(fit.record.model_copy(update={"files": checksums}).to_json())
