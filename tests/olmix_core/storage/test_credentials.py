"""Credentials in a URL or a configuration are refused, and never repeated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError, OlmixError
from olmix_core.storage.credentials import carries_credentials, redact
from olmix_core.storage.listing import expand
from olmix_core.storage.store import Store

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CARRYING = (
    f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/store",
    "s3://AKIAIOSFODNN7EXAMPLE@bucket/store",
    f"s3a://key:{SECRET}@bucket",
    f"https://user:{SECRET}@host/data.jsonl",
    f"simplecache::s3://key:{SECRET}@bucket/a",
    f"https://bucket.s3.amazonaws.com/a.jsonl?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}",
    f"https://account.blob.core.windows.net/c/a.jsonl?sv=2024&sig={SECRET}",
)
PLAIN = (
    "s3://bucket/store",
    "s3://bucket/name@host:1/a.jsonl",
    "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/name/data",
    "abfs://container@account.dfs.core.windows.net/data/*.parquet",
    "hf://datasets/org/name@main/*.parquet",
    "sftp://user@host:22/data",
    "gs://bucket/a?.jsonl",
    "/data/name:of@file.txt",
    "memory://store",
)


@pytest.mark.parametrize("url", CARRYING)
def test_url_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    for use in (Store, expand):
        with pytest.raises(OlmixError, match="found credentials in a URL; expected credentials in the env") as caught:
            use(url)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", PLAIN)
def test_url_without_a_secret_is_accepted(url: str) -> None:
    assert not carries_credentials(url)


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "in the store": ({"store": CARRYING[0]}, "store"),
    "in a domain": ({"domains": [{"name": "a", "paths": ["a.txt", CARRYING[0]]}]}, r"domains\[0\]\.paths\[1\]"),
    "in a section of its own": ({"store": {"url": "s3://b/x", "secret": SECRET}}, r"store\.secret"),
    "as a field": ({"aws_secret_access_key": SECRET}, "aws_secret_access_key"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configuration_with_a_secret_is_refused_without_repeating_it(case: str, project: Callable[..., Path]) -> None:
    changes, field = CONFIGS[case]
    with pytest.raises(ConfigError, match=f"{field}: found credentials; expected credentials in the env") as caught:
        load_config(project(**changes))
    assert SECRET not in str(caught.value)


def test_redact_replaces_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert redact(f"signed with {SECRET}") == "signed with $AWS_SECRET_ACCESS_KEY"
