"""Reading a law at a target from JSON: the law of the proxies, the anchors, and what was learnt from them."""

from typing import cast

import numpy as np

from olmix_core.errors import FitError
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TARGET_FORMAT, TargetSurrogate
from olmix_core.surrogate.scaling.transfer import Hyperparameters
from olmix_core.surrogate.surrogate_json import LawJSON


def read_target(data: JsonMapping) -> TargetSurrogate:
    """Read what `TargetSurrogate.to_json` wrote.

    Args:
        data: The JSON.

    Returns:
        The surrogate.

    Raises:
        FitError: A field is missing or has another shape, or a newer version wrote it.
    """
    version = data.get("format_version")
    if version != TARGET_FORMAT:
        raise FitError(f"found format_version {version!r} of a law at a target; expected {TARGET_FORMAT}")
    try:
        law = LawSurrogate.from_json(cast(LawJSON, data["law"]))
        anchors, hyper = data["anchors"], data["hyperparameters"]
        return TargetSurrogate(
            BaseLaw(law, Scale.from_json(data["scale"])),
            Scale.from_json(data["target"]),
            Anchors(
                np.array(anchors["mixtures"], dtype=np.float64).reshape(-1, len(law.leaves)),
                np.array(anchors["bpb"], dtype=np.float64).reshape(-1, len(law.tasks)),
                tuple(Scale.from_json(scale) for scale in anchors["scales"]),
            ),
            Hyperparameters(
                slope=float(hyper["slope"]),
                slope_error=float(hyper["slope_error"]),
                slope_spread=float(hyper["slope_spread"]),
                noise=float(hyper["noise"]),
                response=np.array(hyper["response"], dtype=np.float64),
                theta=np.array(hyper["theta"], dtype=np.float64),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FitError(f"not a law at a target as this version writes it: {error!r}; carry it again") from error
