"""Train a small DDPM whose members are known (Ho et al., arXiv 2006.11239, Algorithm 1).

Every random choice is a function of (seed, step), so a training that was killed and goes on from its checkpoint
ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from trainedon.errors import UserError
from trainedon.files import write_json, write_text
from trainedon.noise import generator
from trainedon.targets.path import PREDICTIONS

CHECKPOINT = "checkpoint.safetensors"
BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the pictures.

    The learning rate rises over `warmup` steps and falls to zero along a half cosine: the decay to the end is what
    makes a small model remember.
    """

    size: int = 32
    channels: int = 3
    classes: int | None = None
    widths: tuple[int, ...] = (32, 64, 96)
    attention: bool = True
    layers: int = 1
    timesteps: int = 1000
    betas: str = "linear"
    prediction: str = "epsilon"
    zero_snr: bool = False
    passes: int = 400
    batch_size: int = 16
    learning_rate: float = 8e-4
    warmup: int = 200
    ema: float = 0.998
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError for a recipe that no network or schedule can follow."""
        if self.betas not in BETAS:
            raise UserError(f"betas {self.betas!r} are not known: choose one of {', '.join(BETAS)}")
        if self.prediction not in PREDICTIONS:
            raise UserError(f"prediction {self.prediction!r} is not known: choose one of {', '.join(PREDICTIONS)}")
        if self.prediction == "epsilon" and self.zero_snr:
            raise UserError(
                "zero terminal SNR cannot be learnt from the noise alone: take prediction v_prediction or sample"
            )
        if not self.widths or min(self.widths) < 1:
            raise UserError(f"widths {self.widths} make no network: give one positive number a level")
        halvings = 2 ** (len(self.widths) - 1)
        if self.size % halvings:
            raise UserError(f"{len(self.widths)} widths need a size that {halvings} divides, not {self.size}")

    def unet(self) -> UNet2DModel:
        """The network with weights drawn from the seed."""
        down = ["DownBlock2D"] * len(self.widths)
        up = ["UpBlock2D"] * len(self.widths)
        if self.attention:
            down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return UNet2DModel(
                sample_size=self.size,
                in_channels=self.channels,
                out_channels=self.channels,
                layers_per_block=self.layers,
                block_out_channels=self.widths,
                down_block_types=tuple(down),
                up_block_types=tuple(up),
                norm_num_groups=math.gcd(16, *self.widths),
                add_attention=self.attention,
                num_class_embeds=self.classes,
            )

    def scheduler(self) -> DDPMScheduler:
        return DDPMScheduler(
            num_train_timesteps=self.timesteps,
            beta_schedule=self.betas,
            prediction_type=self.prediction,
            rescale_betas_zero_snr=self.zero_snr,
        )


def _regression_target(recipe: Recipe, x0: torch.Tensor, eps: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    if recipe.prediction == "epsilon":
        return eps
    if recipe.prediction == "sample":
        return x0
    return ab.sqrt() * eps - (1 - ab).sqrt() * x0  # v, Salimans & Ho, arXiv 2202.00512


def _learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _save_checkpoint(out: Path, step: int, unet: UNet2DModel, ema: dict, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"ema.{name}": value for name, value in ema.items()}
    for name, parameter in unet.named_parameters():
        tensors[f"unet.{name}"] = parameter.detach()
        tensors |= {f"adam.{key}.{name}": value for key, value in optimizer.state[parameter].items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    temporary = out / f"{CHECKPOINT}.tmp"
    save_file(tensors, temporary, metadata={"step": str(step)})
    temporary.replace(out / CHECKPOINT)


def _load_checkpoint(out: Path, unet: UNet2DModel, ema: dict, optimizer: torch.optim.Optimizer) -> int:
    path = out / CHECKPOINT
    if not path.exists():
        return 0
    from safetensors import safe_open

    tensors = load_file(path)
    for name, parameter in unet.named_parameters():
        parameter.data.copy_(tensors[f"unet.{name}"])
        ema[name].copy_(tensors[f"ema.{name}"])
        optimizer.state[parameter] = {"step": tensors[f"adam.step.{name}"].clone()} | {
            key: torch.empty_like(parameter).copy_(tensors[f"adam.{key}.{name}"]) for key in ("exp_avg", "exp_avg_sq")
        }
    with safe_open(path, "pt") as file:
        return int(file.metadata()["step"])


def _begin_log(path: Path, step: int) -> None:
    """The log's head, and what it says up to the checkpoint: later steps are done again."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rows = [line for line in lines if line.count(",") == 2 and line.split(",")[0].isdigit()]
    kept = [row for row in rows if int(row.split(",")[0]) <= step]
    write_text(path, "\n".join(["step,loss,learning_rate", *kept, ""]))


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
    """Train on `pictures` and write a diffusers `DDPMPipeline` folder with the averaged (EMA) weights.

    pictures: float32 (n, c, h, w) in [-1, 1]; every one is a member.
    labels: int64 (n,) in [0, recipe.classes), for a class-conditional network.
    snapshots: after so many passes the model is also written as it is then, to `out/after-PASSES-passes`. Before the
    learning rate has decayed it remembers less.
    progress: called with (step, steps, mean loss since the last call).

    `out` also receives `log.csv` (step, loss, learning rate) and, while unfinished, a checkpoint from which the same
    call goes on. Raises UserError when the loss is no longer finite, when a snapshot lies outside the training or
    before the checkpoint, and when `out` holds another recipe or another model.
    """
    for passes in snapshots:
        if not 0 < passes < recipe.passes:
            raise UserError(f"a snapshot after {passes} passes lies outside a training of {recipe.passes}")
    out.mkdir(parents=True, exist_ok=True)
    _check_recipe(out, recipe)
    if (out / "model_index.json").exists():
        _check_snapshots(out, snapshots, recipe.passes)
        return out
    unet = recipe.unet().to(memory_format=torch.channels_last).train()
    parameters = dict(unet.named_parameters())
    ema = {name: value.detach().clone() for name, value in parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=recipe.learning_rate, weight_decay=0.0)
    scheduler = recipe.scheduler()
    a_pass = math.ceil(len(pictures) / recipe.batch_size)  # steps
    steps = recipe.passes * a_pass
    first = _load_checkpoint(out, unet, ema, optimizer)
    _check_snapshots(out, snapshots, first // a_pass)
    _begin_log(out / "log.csv", first)
    losses: list[float] = []
    for step in range(first, steps):
        rows, t, x_t, aim = _batch(recipe, pictures, scheduler.alphas_cumprod, step)
        answer = unet(x_t, t, class_labels=None if labels is None else labels[rows]).sample
        loss = torch.nn.functional.mse_loss(answer, aim)
        rate = _learning_rate(recipe, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        _average(ema, parameters, decay=min(recipe.ema, (step + 1) / (step + 10)))
        losses.append(loss.item())
        done = step + 1
        if not math.isfinite(losses[-1]):
            raise UserError(
                f"training diverged at step {done}: try a smaller --learning-rate (now {recipe.learning_rate:g})"
            )
        if done % a_pass == 0 and done // a_pass in snapshots:
            _save_averaged(unet, ema, scheduler, _snapshot(out, done // a_pass))
        if done % checkpoint_every == 0 or done == steps:
            mean = sum(losses) / len(losses)
            losses.clear()
            with (out / "log.csv").open("a", encoding="utf-8", newline="\n") as log:
                log.write(f"{done},{mean:.6f},{rate:.3e}\n")
            _save_checkpoint(out, done, unet, ema, optimizer)
            if progress:
                progress(done, steps, mean)
    _save_averaged(unet, ema, scheduler, out)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return out


def _batch(
    recipe: Recipe, pictures: torch.Tensor, alpha_bars: torch.Tensor, step: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """What one step trains on: rows (b,), timesteps (b,), noised pictures and what the network is to answer."""
    n, size = len(pictures), recipe.batch_size
    epoch, batch = divmod(step, math.ceil(n / size))
    order = generator(recipe.seed, "order", epoch).permutation(n)
    rows = torch.from_numpy(order[batch * size : (batch + 1) * size])
    rng = generator(recipe.seed, "step", step)
    t = torch.from_numpy(rng.integers(0, recipe.timesteps, len(rows)))
    x0 = pictures[rows]  # (b, c, h, w)
    eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
    ab = alpha_bars[t].view(-1, 1, 1, 1)
    x_t = (ab.sqrt() * x0 + (1 - ab).sqrt() * eps).to(memory_format=torch.channels_last)
    return rows, t, x_t, _regression_target(recipe, x0, eps, ab)


@torch.no_grad()
def _average(ema: dict[str, torch.Tensor], parameters: dict[str, torch.nn.Parameter], *, decay: float) -> None:
    for name, value in parameters.items():
        ema[name].lerp_(value, 1 - decay)


def _save_averaged(unet: UNet2DModel, ema: dict[str, torch.Tensor], scheduler: DDPMScheduler, out: Path) -> None:
    """The averaged network as a pipeline's folders, the index last: a folder with an index is a whole model."""
    averaged = copy.deepcopy(unet).eval()
    averaged.load_state_dict(ema, strict=False)  # buffers, if any, stay the network's own
    pipeline = DDPMPipeline(unet=averaged, scheduler=scheduler)
    out.mkdir(exist_ok=True)
    unfinished = out / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.save_pretrained(unfinished, safe_serialization=True)
    for part in sorted(unfinished.iterdir(), key=lambda path: path.name == "model_index.json"):
        shutil.rmtree(out / part.name, ignore_errors=True)
        part.replace(out / part.name)
    unfinished.rmdir()


def _check_snapshots(out: Path, snapshots: Sequence[int], done: int) -> None:
    """done: passes that are over, of which no snapshot can be taken any more."""
    for passes in snapshots:
        if passes <= done and not (_snapshot(out, passes) / "model_index.json").exists():
            raise UserError(f"{out} was trained without its snapshot after {passes} passes: choose another --out")


def _snapshot(out: Path, passes: int) -> Path:
    return out / f"after-{passes}-passes"


def _check_recipe(out: Path, recipe: Recipe) -> None:
    path = out / "recipe.json"
    now = json.loads(json.dumps(asdict(recipe)))
    if path.exists():
        try:
            before = json.loads(path.read_text("utf-8"))
        except ValueError:
            before = None
        if not isinstance(before, dict):
            raise UserError(f"{path} is damaged: choose another --out")
        differing = [
            f"{key} was {before.get(key)}, is {value}" for key, value in now.items() if before.get(key) != value
        ]
        if differing:
            raise UserError(f"{out} was begun with another recipe ({'; '.join(differing)}): choose another --out")
    elif (out / "model_index.json").exists():
        raise UserError(f"{out} holds a model that was not trained by this command: choose another --out")
    write_json(path, now)
