"""Checkpoints: interrupted training ends with the same weights."""

from pathlib import Path

import pytest
import torch

from olmix_core.data.corpus import Corpus
from olmix_core.proxies import training as proxy_module
from olmix_core.proxies.checkpoints import Checkpoints
from olmix_core.proxies.results import TrainingProgress
from olmix_core.proxies.sequences import Sequences
from olmix_core.proxies.training import TrainedProxy, train
from olmix_core.storage.store import Store
from tests.support.proxies import SHORT, needs_compiler, weights_of

pytestmark = pytest.mark.usefixtures("one_thread")


class Stop(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=[needs_compiler, pytest.mark.long])])
def test_interrupted_training_ends_with_the_same_weights(
    corpora: dict[str, Corpus], precision: str, compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "compiling_pays", lambda *_: compiled)
    monkeypatch.setattr(proxy_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr("olmix_core.proxies.checkpoints.SHARE", 1e9)
    # 80 steps, of which two make a point of the loss curve: checkpoints fall between points as well.
    recipe = SHORT.model_copy(update={"precision": precision, "tokens": 160 * 128})
    mixture = {"code": 0.4, "manual": 0.6}
    whole = train(Sequences(mixture, corpora, recipe), recipe, 257)
    store, told = Store(str(tmp_path)), list[float]()

    def until(stop: float) -> TrainedProxy:
        def progress(state: TrainingProgress) -> None:
            told.append(state.done)
            if state.done >= stop:
                raise Stop

        checkpoints = Checkpoints(store, "proxies/a/checkpoint.safetensors", seconds=0.0)
        return train(Sequences(mixture, corpora, recipe), recipe, 257, progress, checkpoints)

    for stop in (0.3, 0.31, 0.75):
        with pytest.raises(Stop):
            until(stop)
    found = until(2.0)
    assert torch.equal(weights_of(found), weights_of(whole))
    assert found.training.losses == whole.training.losses
    assert (found.training.tokens, found.training.epochs) == (whole.training.tokens, whole.training.epochs)
    assert (found.training.resumed, whole.training.resumed) == (3, 0)
    assert (found.training.compiled, whole.training.compiled) == (compiled, compiled)
    # No step was taken twice but the one after the last checkpoint.
    assert len(told) == recipe.steps + 3


def test_an_unreadable_checkpoint_is_ignored(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("checkpoint.safetensors", b"not one")
    checkpoints = Checkpoints(store, "checkpoint.safetensors")
    found = train(Sequences({"code": 1.0}, corpora, SHORT), SHORT, 257, checkpoints=checkpoints)
    assert found.training.resumed == 0
    checkpoints.remove()
    checkpoints.remove()
    assert not store.exists("checkpoint.safetensors")
