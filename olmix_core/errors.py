"""What can go wrong, as one tree.

Every error that a user can cause or mend is an `OlmixError`: the command line prints its message without a
traceback and exits with status 1. Anything else that escapes is a defect of this software.

    OlmixError
    ├── ConfigError        the configuration file says something that cannot be done
    ├── DataError          an input file cannot be read as what it claims to be
    ├── StoreError         the store cannot be read or written, or holds something it should not
    │   └── DamageError        a file of the store is not what was written
    ├── TrainingError      a proxy could not be trained
    │   ├── DivergenceError    its loss went to infinity, or above that of guessing
    │   └── WorkerEndedError   its process ended without a result, or was stopped
    │       └── WorkerLostError    the process was killed from outside; tried again, it may well succeed
    ├── EvaluationError    a proxy could not be evaluated, or gave a BPB that is no number
    ├── FitError           no law can be fitted to the evidence at hand
    └── ProposalError      no mixture meets the constraints, or the solver did not find it
"""


class OlmixError(Exception):
    """An error whose message tells a user what was found, what was expected and what to do."""


class ConfigError(OlmixError):
    """The configuration file says something that cannot be done."""

    def __init__(self, file: str, field: str, found: str, expected: str) -> None:
        super().__init__(f"{file}: {field}: found {found}; expected {expected}")
        self.file, self.field, self.found, self.expected = file, field, found, expected


class DataError(OlmixError):
    """An input file cannot be read as what it claims to be."""


class StoreError(OlmixError):
    """The store cannot be read or written, or holds something it should not."""


class DamageError(StoreError):
    """A file of the store is not what was written, and is not used."""

    def __init__(self, where: str, found: str) -> None:
        super().__init__(
            f"{where}: found {found}; expected the file as it was written: it is not used; `olmix store check` says"
            " what else is damaged and what to do"
        )
        self.where, self.found = where, found


class TrainingError(OlmixError):
    """A proxy could not be trained."""


class DivergenceError(TrainingError):
    """The loss of a proxy is no number, or far above that of guessing."""


class WorkerEndedError(TrainingError):
    """The process of a job ended without a result, or was stopped; it cannot be used again."""


class WorkerLostError(WorkerEndedError):
    """The process of a job was killed from outside; the same job may well succeed."""


class EvaluationError(OlmixError):
    """A proxy could not be evaluated, or gave a BPB that is no number."""


class FitError(OlmixError):
    """No law can be fitted to the evidence at hand."""


class ProposalError(OlmixError):
    """No mixture meets the constraints, or the solver did not find it."""
