"""What a run would do: the same chain of steps, carried out by a dry run."""

from dataclasses import dataclass

from flows.execution.dry_run import Counts, DryRun, Unpredictable
from flows.pipeline.context import RunContext
from flows.pipeline.pipeline import run_chain
from flows.pipeline.run_state import RunState
from olmix_core.config.config import Config
from olmix_core.planning.preflight import ResolvedInputs, resolve_inputs
from tasks.steps import STEPS
from tasks.steps.evaluate import evaluate
from tasks.steps.evidence import evidence
from tasks.steps.next_round import next_round
from tasks.steps.publish import PUBLISH
from tasks.steps.train import train
from tasks.steps.transfer import transfer


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        inputs: What the configuration refers to.
        outcome: The state of the run as far as it can be told.
        run: The dry run.
        carries: Whether the law is carried to the size of a target run.
        reached: False where a step has to be executed to know what comes after it.
    """

    inputs: ResolvedInputs
    outcome: RunState
    run: DryRun
    carries: bool
    reached: bool

    @property
    def counts(self) -> dict[str, Counts]:
        """{step: counts}, publish left out; of proxies of later rounds, at most."""
        counts = self.run.counts()
        if self.reached:
            return counts
        for stage in STEPS.following(evaluate.name):
            if stage.name != PUBLISH.name:
                counts.setdefault(stage.name, Counts(executed=1))
        proxies, rounds, larger = sum(self.outcome.to_come), len(self.outcome.to_come), self.outcome.anchors_to_come
        for name, more in (
            (train.name, proxies),
            (evaluate.name, (proxies + larger) * len(self.inputs.tasks)),
            (next_round.name, rounds),
            (evidence.name, int(larger > 0)),
            (transfer.name, int(self.carries and transfer.name not in counts)),
        ):
            if more:
                before = counts.get(name, Counts())
                counts[name] = Counts(before.executed + more, before.cached)
        return counts

    @property
    def is_nothing(self) -> bool:
        """Whether everything is cached."""
        return all(not count.executed for count in self.counts.values())


def forecast(
    config: Config, config_file: str, inputs: ResolvedInputs | None = None, earlier: Forecast | None = None
) -> Forecast:
    """Find out what a run would execute.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        inputs: What it refers to, if that was resolved before.
        earlier: A forecast for the same mix and inputs under other settings; its base and look-ups are used again.

    Returns:
        The forecast.

    Raises:
        OlmixError: The run would end with it before anything is spent.
    """
    inputs = inputs or resolve_inputs(config, config_file)
    if earlier is None:
        dry_run = DryRun(inputs.store)
        context = RunContext.begin(config, config_file, inputs, dry_run)
    else:
        dry_run = DryRun(earlier.run.store, lookups=earlier.run.lookups)
        context = RunContext(config, config_file, inputs, dry_run, RunState(earlier.outcome.base))
    carries = config.proposal.target is not None
    try:
        run_chain(context)
    except Unpredictable:
        return Forecast(inputs, context.state, dry_run, carries, reached=False)
    return Forecast(inputs, context.state, dry_run, carries, reached=True)
