"""S3: s3fs with one layer of retries, without a cache of listings, and with readable errors.

Transient errors (no answer, 5xx, SlowDown) are retried by botocore with growing pauses, for about half a minute; others
(a wrong key, no such bucket) are raised at once. Every error is raised as an OSError whose text is for people:
FileNotFoundError for a missing key, FileExistsError for a condition that does not hold, ConnectionError where nothing
answers, PermissionError where access is refused.
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

from olmix_core.serialization import JsonObject
from olmix_core.storage.credentials import redact, refuse_credentials

Limits = dict[str, int | dict[str, str | int]]

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# Limits of a request: PATIENT for work, BRIEF to find out quickly whether a server answers.
PATIENT: Limits = {"connect_timeout": 10, "read_timeout": 60, "retries": {"mode": "standard", "total_max_attempts": 8}}
BRIEF: Limits = {"connect_timeout": 3, "read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 2}}

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

_instances: dict[tuple[Any, ...], "S3"] = {}
_lock = threading.Lock()


class S3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """The file system. One instance serves all threads."""

    cachable = False  # instances are cached below, by the environment they were made in
    retries = 2  # of s3fs, for a body that broke off; botocore repeats requests

    async def _call_s3(self, method: str, *arguments: Any, **parameters: Any) -> Any:
        try:
            return await super()._call_s3(method, *arguments, **parameters)
        except Exception as error:
            raise _translate(error, method, parameters.get("Bucket")) from _answer(error)

    call_s3 = sync_wrapper(_call_s3)

    async def _cat_file(self, path: str, **options: Any) -> bytes:
        # One request; by default s3fs requests the size first.
        content: bytes = await super()._cat_file(path, **{**options, "max_concurrency": 1})
        return content

    def pages(self, bucket: str, prefix: str, delimiter: str = "") -> Iterator[JsonObject]:
        """List the objects below a prefix.

        Args:
            bucket: Name of the bucket.
            prefix: First characters of the keys.
            delimiter: Character at which keys are cut into folders; empty to list everything flat.

        Yields:
            The pages of the listing, each as S3 answers ``list_objects_v2``.
        """
        position: dict[str, str] = {}
        while True:
            page: JsonObject = self.call_s3(
                "list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter=delimiter, **position
            )
            yield page
            if not page.get("IsTruncated"):
                return
            position = {"ContinuationToken": page["NextContinuationToken"]}

    def first(self, bucket: str, prefix: str) -> JsonObject | None:
        """Look up the first object below a prefix, which is the object of exactly this key if there is one.

        Args:
            bucket: Name of the bucket.
            prefix: First characters of the key.

        Returns:
            The object as S3 lists it, or None.
        """
        page = self.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return next(iter(page.get("Contents", [])), None)


def filesystem(limits: Limits = PATIENT) -> S3:
    """Find the file system of this process and environment.

    Args:
        limits: What a request may take.

    Returns:
        The file system.

    Raises:
        OlmixError: The address of the endpoint carries credentials.
    """
    for name in ENDPOINTS:
        refuse_credentials(os.environ.get(name, ""), name)
    # Not one per thread, as in fsspec: each takes half a second, and old credentials would stay in use.
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "FSSPEC_")))
    key = (os.getpid(), limits["connect_timeout"], *settings)
    with _lock:
        if key not in _instances:
            _instances[key] = S3(
                config_kwargs=_without_user_settings(limits), use_listings_cache=False, skip_instance_cache=True
            )
        return _instances[key]


def _without_user_settings(limits: Limits) -> Limits:
    """The limits without retries where the user has set those."""
    if limits is PATIENT and {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys():
        return {name: value for name, value in limits.items() if name != "retries"}
    return limits


def path_of(url: str) -> str:
    """Find the path of a URL on S3.

    Args:
        url: The URL.

    Returns:
        ``<bucket>/<key>``.
    """
    return str(S3._strip_protocol(url))  # noqa: SLF001  # part of fsspec's interface for file systems


def check_reachable(bucket: str) -> None:
    """Check within seconds that the server answers.

    Args:
        bucket: A bucket, which need not exist.

    Raises:
        ConnectionError: Nothing answers.
        PermissionError: There are no credentials.
    """
    try:
        filesystem(BRIEF).call_s3("head_bucket", Bucket=bucket)
    except (ConnectionError, PermissionError) as error:
        if code_of(error) is None:  # no answer, or no credentials to ask with
            raise
    except OSError:
        pass  # an answer; the next request reports its reason in full


def code_of(error: BaseException) -> str | None:
    """Find the code of the answer that an error came from.

    Args:
        error: An error raised here or by botocore.

    Returns:
        The code, such as ``NoSuchBucket``, or None where there was no answer.
    """
    response = getattr(_answer(error), "response", None)
    return str(response["Error"].get("Code")) if response else None


def _answer(error: BaseException) -> BaseException:
    """The error of botocore that s3fs has translated."""
    return error.__cause__ if error.__cause__ is not None and hasattr(error.__cause__, "response") else error


def _translate(error: Exception, method: str, bucket: str | None) -> OSError:
    """The error as people can read it."""
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "Amazon S3")
    if isinstance(error, NO_CREDENTIALS):
        return PermissionError(
            f"no credentials for {endpoint} ({redact(str(error))}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
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
        words = redact(error.strerror or str(error))
        return OSError(error.errno, words) if error.errno else type(error)(words)
    if isinstance(error, (boto.BotoCoreError, ValueError)):
        return OSError(errno.EINVAL, redact(str(error)))
    return OSError(errno.EIO, f"{type(error).__name__}: {redact(str(error))}")
