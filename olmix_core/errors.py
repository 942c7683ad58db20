"""The exceptions of this project, as one tree.

Every error that a user can cause or correct is an `OlmixError`: the command line prints its message without a traceback
and exits with status 1. Any other exception that reaches the user is a defect of this software.

    OlmixError
    ├── ConfigError                the configuration is invalid
    ├── DataError                  an input file cannot be read
    ├── StoreError                 the store cannot be read or written
    │   └── DamageError            a file of the store is not what was written
    ├── TrainingError              a proxy could not be trained
    │   ├── DivergenceError        its loss diverged
    │   └── WorkerEndedError       its process ended without a result
    │       └── WorkerLostError    its process was killed from outside
    ├── EvaluationError            a proxy could not be evaluated
    ├── FitError                   no law can be fitted to the evidence
    └── ProposalError              no mixture meets the constraints
"""


class OlmixError(Exception):
    """An error whose message says what was found, what was expected and what to do."""


class ConfigError(OlmixError):
    """The configuration is invalid.

    Attributes:
        file: The configuration file.
        field: The field, such as ``swarm.runs``.
        found: Its value, or the problem with it.
        expected: A valid value.
    """

    def __init__(self, file: str, field: str, found: str, expected: str) -> None:
        super().__init__(f"{file}: {field}: found {found}; expected {expected}")
        self.file, self.field, self.found, self.expected = file, field, found, expected


class DataError(OlmixError):
    """An input file cannot be read as the format that its name tells."""


class StoreError(OlmixError):
    """The store cannot be read or written, or holds files that no run wrote."""


class DamageError(StoreError):
    """A file of the store is not what was written, and is not used.

    Attributes:
        where: The file.
        found: What is wrong with it.
    """

    def __init__(self, where: str, found: str) -> None:
        super().__init__(
            f"{where}: found {found}; expected the file as it was written: it is not used; `olmix store check` says"
            " what else is damaged and what to do"
        )
        self.where, self.found = where, found


class TrainingError(OlmixError):
    """A proxy could not be trained."""


class DivergenceError(TrainingError):
    """The loss of a proxy is not a number, or far above that of guessing."""


class WorkerEndedError(TrainingError):
    """The process of a job ended without a result, or was stopped; it cannot be used again."""


class WorkerLostError(WorkerEndedError):
    """The process of a job was killed from outside; the same job may succeed when it is repeated."""


class EvaluationError(OlmixError):
    """A proxy could not be evaluated, or its BPB is not a number."""


class FitError(OlmixError):
    """No law can be fitted to the evidence."""


class ProposalError(OlmixError):
    """No mixture meets the constraints, or the solver found none."""
