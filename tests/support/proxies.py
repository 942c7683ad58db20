"""What tests of training share: small recipes, and proxies trained on real text."""

import os
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.proxies.sequences import Sequences
from olmix_core.proxies.training import TrainedProxy, train

RECIPE = ProxyRecipe(layers=1, width=32, heads=2, sequence_length=32, batch_size=4, tokens=16_384)
SHORT = RECIPE.model_copy(update={"tokens": 2048})

# What torch's compiler needs for a CPU: g++ or another, and the headers of Python.
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
HEADERS = Path(sysconfig.get_path("include"), "Python.h").exists()
needs_compiler = pytest.mark.skipif(not (COMPILER and HEADERS), reason="needs a C++ compiler and Python's headers")


def trained(
    mixture: Mapping[str, float], corpora: Mapping[str, Corpus], recipe: ProxyRecipe = RECIPE, **changes: object
) -> TrainedProxy:
    recipe = recipe.model_copy(update=changes)
    return train(Sequences(mixture, corpora, recipe), recipe, 257)


def weights_of(proxy: TrainedProxy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in proxy.model.parameters()])
