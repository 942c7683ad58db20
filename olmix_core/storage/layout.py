"""The layout of a store: every path of it, relative to its root."""


def tokenizer_path(fingerprint: str) -> str:
    return f"tokenizers/{fingerprint}.json"


def corpus_folder(key: str) -> str:
    """Where the tokens of a leaf lie, by the key of its statistics."""
    return f"cache/tokens/{key}"


def proxy_folder(key: str) -> str:
    return f"proxies/{key}"


def result_key(step: str, key: str) -> str:
    """The name under which Prefect keeps the result."""
    return f"{step}/{key}"


def payload_path(step: str, key: str) -> str:
    """Where the payload of a result is written."""
    return f"cache/{step}/{key}.payload.json"


def result_path(key: str) -> str:
    return f"cache/{key}.json"


def surrogate_path(key: str) -> str:
    return f"cache/surrogates/{key}/surrogate.json"


def diagnostics_path(key: str) -> str:
    return f"cache/surrogates/{key}/diagnostics.csv"


def runs_path(key: str) -> str:
    return f"cache/surrogates/{key}/runs.parquet"


def trade_offs_path(key: str) -> str:
    return f"cache/proposals/{key}/trade_offs.csv"
