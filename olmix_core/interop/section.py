"""Read the YAML files of this package: a mapping of fields, checked by a model."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from olmix_core.config.base import Section
from olmix_core.config.errors import first_problem
from olmix_core.config.yaml import read_mapping

SectionT = TypeVar("SectionT", bound=Section)


def read_section(model: type[SectionT], path: Path, expected: str) -> SectionT:
    """Read a file.

    Args:
        model: Its fields.
        path: The file.
        expected: Description of the file, for messages.

    Returns:
        The fields.

    Raises:
        ConfigError: If the file cannot be read, or a field is invalid.
    """
    data = read_mapping(path, expected)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise first_problem(model, path, error) from error
