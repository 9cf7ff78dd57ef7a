"""The training loop, one for all families.

Every random choice is a function of (seed, step), so a training that was killed and goes on from its checkpoint
ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from trainedon.errors import UserError
from trainedon.files import write_json, write_text
from trainedon.reading import open_regular, read_bytes
from trainedon.targets.reading.components import quiet
from trainedon.training.families import AnyRecipe, Lesson, Material, Recipe
from trainedon.training.our_folders import RECIPE, check_ours, clear, read_object

CHECKPOINT = "checkpoint.safetensors"
MOST_LOG = 2**28  # bytes of `log.csv`
STEP = re.compile(r"[0-9]{1,12},[^,]*,[^,]*$")  # a row of it


def train(
    pictures: torch.Tensor,
    out: Path,
    recipe: Recipe,
    *,
    labels: torch.Tensor | None = None,
    snapshots: Sequence[int] = (),
    checkpoint_every: int = 200,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """`learn` from pictures, float32 (n, c, h, w) in [-1, 1], and labels, int64 (n,) in [0, recipe.classes)."""
    return learn(Material(pictures, labels), out, recipe, snapshots, checkpoint_every, progress)


def learn(
    material: Material,
    out: Path,
    recipe: AnyRecipe,
    snapshots: Sequence[int] = (),
    checkpoint_every: int = 200,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Train on the material and write a diffusers folder with the averaged (EMA) weights.

    snapshots: after so many passes the model is also written as it is then, to `out/after-PASSES-passes`. Before the
    learning rate has decayed it remembers less.
    progress: called with (step, steps, mean loss since `log.csv` was last written), before the first step with a loss
    of NaN, and after every step.

    `out` also receives `log.csv` (step, loss, learning rate) and, while unfinished, a checkpoint from which the same
    call goes on. Raises UserError when the loss is no longer finite, when a snapshot lies outside the training or
    before the checkpoint, when the material lacks what the family needs, and when `out` holds another recipe, another
    model, or something else.
    """
    for passes in snapshots:
        if not 0 < passes < recipe.passes:
            raise UserError(f"a snapshot after {passes} passes lies outside a training of {recipe.passes}")
    with quiet():
        lesson = recipe.lesson(material)
    check_ours(out)
    out.mkdir(parents=True, exist_ok=True)
    _check_recipe(out, recipe, lesson.whole)
    if (out / lesson.whole).exists():
        _check_snapshots(out, lesson.whole, snapshots, recipe.passes)
        return out
    parameters = {name: value for name, value in lesson.network.named_parameters() if value.requires_grad}
    ema = {name: value.detach().clone() for name, value in parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=recipe.learning_rate, weight_decay=0.0)
    a_pass = math.ceil(lesson.rows / recipe.batch_size)  # steps
    steps = recipe.passes * a_pass
    first = _load_checkpoint(out, parameters, ema, optimizer)
    _check_snapshots(out, lesson.whole, snapshots, first // a_pass)
    _begin_log(out / "log.csv", first)
    losses: list[float] = []
    told = progress or _silent
    told(first, steps, math.nan)
    for step in range(first, steps):
        rate = learning_rate(recipe, step, steps)
        losses.append(_step(lesson.loss(step), parameters.values(), optimizer, rate))
        average(ema.values(), parameters.values(), recipe, step)
        done = step + 1
        if not math.isfinite(losses[-1]):
            raise UserError(
                f"training diverged at step {done}: try a smaller --learning-rate (now {recipe.learning_rate:g})"
            )
        if done % a_pass == 0 and done // a_pass in snapshots:
            _save_averaged(lesson, ema, _snapshot(out, done // a_pass))
        mean = sum(losses) / len(losses)
        if done % checkpoint_every == 0 or done == steps:
            losses.clear()
            with (out / "log.csv").open("a", encoding="utf-8", newline="\n") as log:
                log.write(f"{done},{mean:.6f},{rate:.3e}\n")
            _save_checkpoint(out, done, parameters, ema, optimizer)
        told(done, steps, mean)
    _save_averaged(lesson, ema, out)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return out


def _silent(done: int, steps: int, loss: float) -> None:
    """Progress that nobody wants to hear of."""


def learning_rate(recipe: AnyRecipe, step: int, steps: int) -> float:
    """That of a step, counted from 0, of so many: it rises over the warm-up and falls to zero along a half cosine."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _step(loss: torch.Tensor, weights: Iterable[torch.Tensor], optimizer: torch.optim.Optimizer, rate: float) -> float:
    """One step down the gradient, whose norm is clipped at 1; the loss as a number."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    return float(loss.item())


@torch.no_grad()
def average(averaged: Iterable[torch.Tensor], weights: Iterable[torch.Tensor], recipe: AnyRecipe, step: int) -> None:
    """Bring averaged weights up to date after a step, counted from 0: those drawn at random are soon forgotten."""
    decay = min(recipe.ema, (step + 1) / (step + 10))
    for one, value in zip(averaged, weights, strict=True):
        one.lerp_(value, 1 - decay)


def _save_checkpoint(
    out: Path, step: int, parameters: dict[str, Any], ema: dict[str, Any], optimizer: torch.optim.Optimizer
) -> None:
    tensors = {f"ema.{name}": value for name, value in ema.items()}
    for name, parameter in parameters.items():
        tensors[f"unet.{name}"] = parameter.detach()
        tensors |= {f"adam.{key}.{name}": value for key, value in optimizer.state[parameter].items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    temporary = out / f"{CHECKPOINT}.tmp"
    clear(temporary)
    save_file(tensors, temporary, metadata={"step": str(step)})
    temporary.replace(out / CHECKPOINT)


def _load_checkpoint(
    out: Path, parameters: dict[str, Any], ema: dict[str, Any], optimizer: torch.optim.Optimizer
) -> int:
    """The step of the checkpoint, which is loaded; 0 without one. Raises UserError for one that does not fit."""
    path = out / CHECKPOINT
    if not path.exists():
        return 0
    try:
        open_regular(path).close()
        tensors = load_file(path)
        for name, parameter in parameters.items():
            parameter.data.copy_(tensors[f"unet.{name}"])
            ema[name].copy_(tensors[f"ema.{name}"])
            optimizer.state[parameter] = {"step": tensors[f"adam.step.{name}"].clone()} | {
                key: torch.empty_like(parameter).copy_(tensors[f"adam.{key}.{name}"])
                for key in ("exp_avg", "exp_avg_sq")
            }
        with safe_open(path, "pt") as file:
            return int(file.metadata()["step"])
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError):
        raise UserError(f"{path} is damaged or of another training: choose another --out") from None


def _begin_log(path: Path, step: int) -> None:
    """The log's head, and what it says up to the checkpoint: later steps are done again."""
    lines = read_bytes(path, MOST_LOG).decode("utf-8", "replace").splitlines() if path.exists() else []
    rows = [line for line in lines if STEP.match(line)]
    kept = [row for row in rows if int(row.split(",")[0]) <= step]
    write_text(path, "\n".join(["step,loss,learning_rate", *kept, ""]))


def _save_averaged(lesson: Lesson, ema: dict[str, torch.Tensor], out: Path) -> None:
    """The averaged network as the family's folder, what makes it a whole model last."""
    averaged = copy.deepcopy(lesson.network).eval()
    averaged.load_state_dict(ema, strict=False)  # what is not trained stays the network's own
    out.mkdir(exist_ok=True)
    unfinished = out / ".unfinished"
    clear(unfinished)
    with quiet():
        lesson.save(averaged, unfinished)
    for part in sorted(unfinished.iterdir(), key=lambda path: path.name == lesson.whole):
        clear(out / part.name)
        part.replace(out / part.name)
    unfinished.rmdir()


def _check_snapshots(out: Path, whole: str, snapshots: Sequence[int], done: int) -> None:
    """done: passes that are over, of which no snapshot can be taken any more."""
    for passes in snapshots:
        if _snapshot(out, passes).is_symlink():
            raise UserError(f"{_snapshot(out, passes)} is a link, and a model would be written to where it leads")
        if passes <= done and not (_snapshot(out, passes) / whole).exists():
            raise UserError(f"{out} was trained without its snapshot after {passes} passes: choose another --out")


def _snapshot(out: Path, passes: int) -> Path:
    return out / f"after-{passes}-passes"


def _check_recipe(out: Path, recipe: AnyRecipe, whole: str) -> None:
    path = out / RECIPE
    now = recorded(recipe)
    if path.exists():
        before = read_object(path)
        differing = [
            f"{key} was {before.get(key)}, is {now.get(key)}"
            for key in dict.fromkeys([*now, *before])
            if before.get(key) != now.get(key)
        ]
        if differing:
            raise UserError(f"{out} was begun with another recipe ({'; '.join(differing)}): choose another --out")
    elif (out / whole).exists():
        raise UserError(f"{out} holds a model that was not trained by this command: choose another --out")
    write_json(path, now)


def recorded(recipe: AnyRecipe) -> dict[str, Any]:
    """A recipe as `recipe.json` has it; one without a family is of the first, which had none, and one without `flip`
    or `augment` changes no picture."""
    named = {} if recipe.family == Recipe.family else {"family": recipe.family}
    record: dict[str, Any] = json.loads(json.dumps(named | asdict(recipe)))
    return {name: value for name, value in record.items() if name not in ("flip", "augment") or value}
