"""Corpora in memory."""

import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.storage.integrity import CHUNK, CheckedTokens


def checked(tokens: NDArray[Any]) -> CheckedTokens:
    """Token ids that are what their checksums say."""
    content = io.BytesIO(tokens.tobytes())
    checksums = [zlib.crc32(chunk) for chunk in iter(lambda: content.read(CHUNK), b"")]
    return CheckedTokens(tokens, np.array(checksums, np.uint32), "memory")
