"""The configuration: one YAML file with the domains to mix, the proxies to train and the mixture to propose.

In goes a file; out comes a validated, frozen `Config`, or a `ConfigError` that names file, field, value found and value
expected. Each section of the file is a class with a module of its own, and every field has a description, from which
docs/config.md and the form of a run are checked or made.
"""

from olmix_core.config.config import Config
from olmix_core.config.defaults import PAPER_KL, RUNS_PER_DIMENSION, default_runs
from olmix_core.config.domains import Domain
from olmix_core.config.evaluation import Evaluation, Task
from olmix_core.config.execution import Execution
from olmix_core.config.load import load_config, read_task_list, with_runner
from olmix_core.config.proposal import ProposalSettings
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.reuse import Reuse
from olmix_core.config.surrogate import SurrogateSettings
from olmix_core.config.swarm import Swarm
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE

__all__ = [
    "PAPER_KL",
    "RUNS_PER_DIMENSION",
    "Bytes",
    "Config",
    "Domain",
    "Evaluation",
    "Execution",
    "ProposalSettings",
    "ProxyRecipe",
    "Reuse",
    "SurrogateSettings",
    "Swarm",
    "Task",
    "TokenizerFile",
    "TrainedBPE",
    "default_runs",
    "load_config",
    "read_task_list",
    "with_runner",
]
