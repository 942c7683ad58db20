"""Credentials come from the environment and stay there: no URL, file, record or message contains one.

A URL is copied to many places (configuration, records, the Prefect database, logs). Therefore a URL with a secret is
refused before it is used, by a message that does not repeat it.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from olmix_core.errors import OlmixError

EXPECTED = (
    "credentials in the environment only (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; see docs/s3.md):"
    " remove them from here, and consider them known to others"
)
# name:password@host of any URL; on S3 also anything before an @ or after a colon, which no bucket contains.
_USER = re.compile(r"[a-z0-9+.-]+://(?!arn:)[^/@\s]*:[^\s]*@", re.I)
_S3_USER = re.compile(r"s3a?://(?!arn:)[^/\s]*[:@]", re.I)
_SIGNED = re.compile(
    r"://.*[?&](x-amz-(signature|credential|security-token)|awsaccesskeyid|signature|sig|access_token|password|secret)=",
    re.I,
)
_FIELDS = re.compile(r"(aws_)?(secret|password|(secret_)?access_key(_id)?|secret_key|session_token)", re.I)
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def carries_credentials(text: str) -> bool:
    """Tell whether a text is a URL with a user name and password, a key, or a signature.

    Args:
        text: The text.

    Returns:
        Whether it is.
    """
    return any(pattern.search(text) for pattern in (_USER, _S3_USER, _SIGNED))


def refuse_credentials(url: str, what: str) -> None:
    """Refuse a URL that carries credentials.

    Args:
        url: The URL.
        what: What the URL is of, for the message, which never contains the URL.

    Raises:
        OlmixError: The URL carries credentials.
    """
    if carries_credentials(url):
        raise OlmixError(f"{what}: found credentials in a URL; expected {EXPECTED}")


def field_with_credentials(value: Any, field: str = "") -> str | None:
    """Find a secret in parsed YAML.

    Args:
        value: The parsed YAML.
        field: Name of the field that `value` is of.

    Returns:
        The first field that is named like a secret or whose text carries one, or None.
    """
    if isinstance(value, str):
        return field if carries_credentials(value) else None
    if isinstance(value, Mapping):
        for name, item in value.items():
            below = f"{field}.{name}" if field else str(name)
            if carries_credentials(str(name)):
                return field or "(file)"
            if isinstance(item, str) and _FIELDS.fullmatch(str(name)):
                return below
            if (secret := field_with_credentials(item, below)) is not None:
                return secret
    elif isinstance(value, Sequence):
        for position, item in enumerate(value):
            if (secret := field_with_credentials(item, f"{field}[{position}]")) is not None:
                return secret
    return None


def redact(text: str) -> str:
    """Replace the secrets of the environment in a text by the names of their variables.

    Args:
        text: The text.

    Returns:
        The text without secrets.
    """
    for name in _SECRET_VARIABLES:
        if secret := os.environ.get(name):
            text = text.replace(secret, f"${name}")
    return text
