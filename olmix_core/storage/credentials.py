"""Credentials come from the environment and stay there: no URL, file, record or message holds one.

A URL goes far (configuration, records, the Prefect database, logs), so one that carries a secret is refused before it
goes anywhere, in words that do not repeat it.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from olmix_core.errors import OlmixError

HOW = (
    "credentials in the environment only (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; see docs/s3.md):"
    " remove them from here, and consider them known to others"
)
# name:password@host, wherever it is; and of S3 anything before an @ or after a colon, since no bucket has either.
_USER = re.compile(r"[a-z0-9+.-]+://(?!arn:)[^/@\s]*:[^\s]*@", re.I)
_S3_USER = re.compile(r"s3a?://(?!arn:)[^/\s]*[:@]", re.I)
_SIGNED = re.compile(
    r"://.*[?&](x-amz-(signature|credential|security-token)|awsaccesskeyid|signature|sig|access_token|password|secret)=",
    re.I,
)
_FIELDS = re.compile(r"(aws_)?(secret|password|(secret_)?access_key(_id)?|secret_key|session_token)", re.I)
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def carries_credentials(text: str) -> bool:
    """Whether `text` is a URL with a name and password, a key, or a signature in it."""
    return any(pattern.search(text) for pattern in (_USER, _S3_USER, _SIGNED))


def refuse_credentials(url: str, what: str) -> None:
    """Raises OlmixError where `url` carries credentials; the message names `what` and never the URL."""
    if carries_credentials(url):
        raise OlmixError(f"{what}: found credentials in a URL; expected {HOW}")


def field_with_credentials(value: Any, field: str = "") -> str | None:
    """The first field of parsed YAML that is named like a secret, or whose text carries one; None where none does."""
    if isinstance(value, str):
        return field if carries_credentials(value) else None
    if isinstance(value, Mapping):
        for name, item in value.items():
            below = f"{field}.{name}" if field else str(name)
            if carries_credentials(str(name)):
                return field or "(file)"
            if isinstance(item, str) and _FIELDS.fullmatch(str(name)):
                return below
            if (found := field_with_credentials(item, below)) is not None:
                return found
    elif isinstance(value, Sequence):
        for position, item in enumerate(value):
            if (found := field_with_credentials(item, f"{field}[{position}]")) is not None:
                return found
    return None


def hidden(text: str) -> str:
    """`text` without the secrets that the environment holds."""
    for name in _SECRET_VARIABLES:
        if secret := os.environ.get(name):
            text = text.replace(secret, f"${name}")
    return text
