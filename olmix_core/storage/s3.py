"""S3 as this project uses it: s3fs with one layer of retries, no listing that is remembered, and errors in words.

What is transient (no answer, 5xx, SlowDown) is tried again by botocore with growing pauses, about half a minute in
all; what is not (a wrong key, no such bucket) is told at once. Whatever goes wrong leaves here as an OSError whose text
is for people: FileNotFoundError for a key that is not there, FileExistsError for a condition that does not hold,
ConnectionError where nothing answers, PermissionError where access is refused.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import ClientError as HTTPError
from botocore import exceptions as boto
from fsspec.asyn import sync_wrapper
from fsspec.exceptions import FSTimeoutError
from s3fs import S3FileSystem

from olmix_core.storage.credentials import hidden, refuse_credentials

PROTOCOLS = ("s3", "s3a")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# What a request may take: the first is for work, the second to find out quickly whether anybody is there.
PATIENT = {"connect_timeout": 10, "read_timeout": 60, "retries": {"mode": "standard", "total_max_attempts": 8}}
BRIEF = {"connect_timeout": 3, "read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 2}}

CONDITION = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
KEYS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3"
REASONS = {
    "NoSuchBucket": "there is no bucket {bucket!r} at {endpoint}: make it, or correct its name",
    "InvalidBucketName": "{bucket!r} cannot be the name of a bucket",
    "InvalidAccessKeyId": f"{{endpoint}} does not know this key: {KEYS}",
    "SignatureDoesNotMatch": f"{{endpoint}} refuses this key or secret: {KEYS}",
    "InvalidToken": "{endpoint} refuses the session token: renew AWS_SESSION_TOKEN",
    "ExpiredToken": "the session token has expired: renew AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clock of this machine is wrong, so that {endpoint} refuses its signature",
    "AccessDenied": "access to the bucket {bucket!r} is denied ({method}): this user may not do that",
    "403": f"access to the bucket {{bucket!r}} is refused ({{method}}): {KEYS}, and what this user may do",
    "PermanentRedirect": "the bucket {bucket!r} is in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket {bucket!r} is in another region: set AWS_REGION",
}
NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.ConfigNotFound,
)
NO_ANSWER = (boto.ConnectionError, boto.HTTPClientError, HTTPError, FSTimeoutError, asyncio.TimeoutError)

_kept: dict[tuple[Any, ...], "S3"] = {}
_lock = threading.Lock()


class S3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """See above. One instance serves all threads."""

    cachable = False  # kept below, by the environment that it was made in
    retries = 2  # s3fs's own, of a body that broke off; requests are botocore's to repeat

    async def _call_s3(self, method: str, *arguments: Any, **parameters: Any) -> Any:
        try:
            return await super()._call_s3(method, *arguments, **parameters)
        except Exception as error:
            raise _told(error, method, parameters.get("Bucket")) from _answer(error)

    call_s3 = sync_wrapper(_call_s3)

    async def _cat_file(self, path: str, **options: Any) -> bytes:
        # One request; by default the size is asked for first.
        content: bytes = await super()._cat_file(path, **{**options, "max_concurrency": 1})
        return content

    def pages(self, bucket: str, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        """What is below `prefix`, page after page, always asked for anew."""
        further: dict[str, str] = {}
        while True:
            page: dict[str, Any] = self.call_s3(
                "list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter=delimiter, **further
            )
            yield page
            if not page.get("IsTruncated"):
                return
            further = {"ContinuationToken": page["NextContinuationToken"]}

    def first(self, bucket: str, prefix: str) -> dict[str, Any] | None:
        """The first object whose key begins with `prefix`: the one of just this key, where there is one."""
        page = self.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return next(iter(page.get("Contents", [])), None)


def filesystem(limits: dict[str, Any] = PATIENT) -> S3:
    """The file system of this process and environment.

    Raises OlmixError where the address of the endpoint carries credentials.
    """
    for name in ENDPOINTS:
        refuse_credentials(os.environ.get(name, ""), name)
    # Not by thread, as fsspec keeps them: each costs half a second, and old credentials would stay in use.
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "FSSPEC_")))
    key = (os.getpid(), limits["connect_timeout"], *settings)
    with _lock:
        if key not in _kept:
            _kept[key] = S3(config_kwargs=_own(limits), use_listings_cache=False, skip_instance_cache=True)
        return _kept[key]


def _own(limits: dict[str, Any]) -> dict[str, Any]:
    """The limits, but for retries where the user has set them."""
    if limits is PATIENT and {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys():
        return {name: value for name, value in limits.items() if name != "retries"}
    return limits


def knock(bucket: str) -> None:
    """Find out within seconds whether anything answers at all. Raises ConnectionError, PermissionError."""
    try:
        filesystem(BRIEF).call_s3("head_bucket", Bucket=bucket)
    except (ConnectionError, PermissionError) as error:
        if code_of(error) is None:  # nobody answered, or there is no key to ask with
            raise
    except OSError:
        pass  # an answer; what it is about is told in full by what comes next


def code_of(error: BaseException) -> str | None:
    """The code of S3's answer that `error` came from; None where there was no answer."""
    response = getattr(_answer(error), "response", None)
    return str(response["Error"].get("Code")) if response else None


def _answer(error: BaseException) -> BaseException:
    """botocore's own error, that s3fs has translated."""
    return error.__cause__ if error.__cause__ is not None and hasattr(error.__cause__, "response") else error


def _told(error: Exception, method: str, bucket: str | None) -> OSError:
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "Amazon S3")
    if isinstance(error, NO_CREDENTIALS):
        return PermissionError(
            f"no credentials for {endpoint} ({hidden(str(error))}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " or AWS_PROFILE"
        )
    if isinstance(error, NO_ANSWER):
        return ConnectionError(
            f"{endpoint} does not answer ({type(error).__name__}): check AWS_ENDPOINT_URL_S3, and that the server runs"
        )
    code = code_of(error)
    if code in CONDITION:
        return FileExistsError(f"the condition of {method} does not hold")
    if code in REASONS:
        words = REASONS[code].format(bucket=bucket, endpoint=endpoint, method=method)
        return PermissionError(words) if isinstance(error, PermissionError) else OSError(words)
    if isinstance(error, OSError):
        words = hidden(error.strerror or str(error))
        return OSError(error.errno, words) if error.errno else type(error)(words)
    if isinstance(error, (boto.BotoCoreError, ValueError)):
        return OSError(errno.EINVAL, hidden(str(error)))
    return OSError(errno.EIO, f"{type(error).__name__}: {hidden(str(error))}")
