"""How fast proxies train, against two references in the same run.

- eager: a plain loop over the same model in float32, as one would write it first: whole batches, torch's attention and
  cross-entropy, AdamW parameter by parameter.
- peak: the largest matrix product that the device manages, in the recipe's precision. Its share is the model FLOP
  utilisation: the operations of `count_training_flop` over what the peak would do in that time.

Ours is compiled where a whole training of the recipe is. Ours and eager take turns, and the best of each counts. On a
CPU: one thread, as a worker has, its CPU time (which other work on the machine does not count into), and of large
batches one sequence. On a GPU: whole batches, by the clock.

On a CPU a second table has the whole machine, by the clock: a worker per core, as a run has them, against the plain
loop in one process with a thread per core, as torch has it by default.

    make bench-train
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import report
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.proxies.compilation import compiling_pays, count_training_flop
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.training import Gradient, best_device, make_optimiser

PAPER_TOKENS = 3e9
VOCABULARY = 50_257  # of the larger recipes; tiny has the small BPE's
CPU_TOKENS = 4096  # at most, of the batches on a CPU
CPU_RECIPES = ("tiny", "tiny in bfloat16", "15m", "30m")
MACHINE_RECIPES = ("tiny", "tiny in bfloat16")
CUDA_RECIPES = ("tiny", "15m", "30m", "60m", "190m")
PEAK_SIZES = {"cpu": (256, 512, 1024), "cuda": (4096, 8192)}


def recipe_of(name: str, device: str) -> tuple[ProxyRecipe, int]:
    """The recipe, on a CPU with a small batch; and its vocabulary."""
    preset, _, precision = name.partition(" in ")
    recipe = ProxyRecipe.model_validate({"recipe": preset, **({"precision": precision} if precision else {})})
    vocabulary = 2048 if preset == "tiny" else VOCABULARY
    rows = recipe.batch_size if device == "cuda" else min(recipe.batch_size, CPU_TOKENS // recipe.sequence_length)
    return recipe.model_copy(update={"batch_size": rows}).counted(vocabulary), vocabulary


def ours(recipe: ProxyRecipe, vocabulary: int, device: torch.device) -> Callable[[Any], float]:
    model = Transformer(recipe, vocabulary).to(device)
    gradient = Gradient(model, recipe, device, compile=compiling_pays(recipe, vocabulary, device))
    optimiser = make_optimiser(model, recipe)

    def step(batch: Any) -> float:
        loss = gradient(batch, None)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def eager(recipe: ProxyRecipe, vocabulary: int, device: torch.device) -> Callable[[Any], float]:
    model = Transformer(recipe, vocabulary).to(device)
    options: dict[str, Any] = {"betas": (0.9, 0.95), "weight_decay": recipe.weight_decay, "foreach": False}
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, fused=False, **options)

    def step(batch: Any) -> float:
        ids = torch.from_numpy(batch).to(device)
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def best_of(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Least seconds of each, taking turns for as long as that; three turns at least."""
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, float("inf"))
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started, turns = time.monotonic(), 0
    while turns < 3 or time.monotonic() - started < seconds:
        for name, call in calls.items():
            before = clock()
            call()
            best[name] = min(best[name], clock() - before)
        turns += 1
    return best


def rate(name: str, plain: bool, threads: int, seconds: float) -> float:
    """Tokens per second, by the clock, of training for that long in this process."""
    torch.set_num_threads(threads)
    recipe, vocabulary = recipe_of(name, "cpu")
    step = (eager if plain else ours)(recipe, vocabulary, torch.device("cpu"))
    batch = np.random.default_rng(0).integers(vocabulary, size=(recipe.batch_size, recipe.sequence_length + 1))
    for _ in range(3):
        step(batch)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step(batch)
        steps += 1
    return steps * recipe.batch_size * recipe.sequence_length / (time.perf_counter() - started)


def machine(name: str, seconds: float) -> dict[str, Any]:
    """Tokens per second of all cores: a worker each, and the plain loop over all; they take turns, the best counts."""
    cores = os.cpu_count() or 1
    best = {"workers": 0.0, "plain": 0.0}
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in range(3):
            each = [pool.submit(rate, name, False, 1, seconds / 3) for _ in range(cores)]
            best["workers"] = max(best["workers"], sum(one.result() for one in each))
            best["plain"] = max(best["plain"], pool.submit(rate, name, True, cores, seconds / 3).result())
    return {
        "recipe": name,
        "workers": cores,
        "tokens/s": best["workers"],
        "plain loop's tokens/s": best["plain"],
        "over plain loop": best["workers"] / best["plain"],
    }


def peak(precision: torch.dtype, device: torch.device, seconds: float) -> float:
    """FLOP per second of the largest matrix product that is found."""
    calls: dict[str, Callable[[], Any]] = {}
    work: dict[str, float] = {}
    for size in PEAK_SIZES[device.type]:
        a, b = (torch.randn(size, size, device=device).to(precision) for _ in range(2))

        def product(a: torch.Tensor = a, b: torch.Tensor = b) -> None:
            a @ b
            if device.type == "cuda":
                torch.cuda.synchronize()

        calls[str(size)], work[str(size)] = product, 2 * size**3
    return max(work[name] / took for name, took in best_of(calls, seconds).items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each comparison")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    device = best_device()
    peaks = {
        str(precision).removeprefix("torch."): peak(precision, device, seconds / 2)
        for precision in (torch.float32, torch.bfloat16)
    }
    rows = []
    for name in CUDA_RECIPES if device.type == "cuda" else CPU_RECIPES:
        recipe, vocabulary = recipe_of(name, device.type)
        shape = (recipe.batch_size, recipe.sequence_length + 1)
        batch = np.random.default_rng(0).integers(vocabulary, size=shape)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        a, b = ours(recipe, vocabulary, device), eager(recipe, vocabulary, device)
        took = best_of({"ours": partial(a, batch), "eager": partial(b, batch)}, seconds)
        tokens = recipe.batch_size * recipe.sequence_length
        flop = count_training_flop(recipe, vocabulary) * tokens / (recipe.tokens or 1)
        rows.append(
            {
                "recipe": name,
                "device": device.type,
                "compiled": compiling_pays(recipe, vocabulary, device),
                "parameters (M)": recipe.parameters(vocabulary) / 1e6,
                "tokens/s": tokens / took["ours"],
                "eager tokens/s": tokens / took["eager"],
                "over eager": took["eager"] / took["ours"],
                "utilisation": flop / took["ours"] / peaks[recipe.precision],
                "eager's (float32)": flop / took["eager"] / peaks["float32"],
                "hours for 3B tokens": PAPER_TOKENS / (tokens / took["ours"]) / 3600,
                "memory (GiB)": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
            }
        )
        print(f"{name}: done", flush=True)
    print(f"\npeak, GFLOP/s: {', '.join(f'{k} {v / 1e9:.4g}' for k, v in peaks.items())}")
    report.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    whole = [machine(name, seconds) for name in MACHINE_RECIPES] if device.type == "cpu" else []
    if whole:
        report.table(tuple(whole[0]), [tuple(row.values()) for row in whole])
    report.write("train", {"threads": 1, "peak_flop_per_second": peaks, "recipes": rows, "whole_machine": whole})


if __name__ == "__main__":
    main()
