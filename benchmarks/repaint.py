"""Degrade-Restore-Compare as one would write it with the RePaint of diffusers: the yardstick for ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import RePaintScheduler

from trainedon.attacks.core.answers import Progress, silent
from trainedon.compare import Pixel, pool
from trainedon.degrade import Center
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets.networks.unet import PixelUNet

HIDDEN = Center(0.25)


@dataclass(frozen=True)
class Setting:
    """What `RePaintPipeline` is called with: num_inference_steps, jump_length, jump_n_sample."""

    steps: int = 250
    jump: int = 10
    samples: int = 10

    def __str__(self) -> str:
        return f"steps={self.steps}, jump_length={self.jump}, jump_n_sample={self.samples}"


DEFAULT = Setting()
# Cheapest first; without jumps (one sample), and with few.
GRID = (
    *(Setting(steps, 10, 1) for steps in (10, 20, 50, 100)),
    *(Setting(50, 5, 3), Setting(250, 10, 1), Setting(100, 10, 5), Setting(250, 10, 3), DEFAULT),
)


class RePaint:
    """The pipeline around the audited network, and how many rows it asked of it."""

    def __init__(self, target: PixelUNet) -> None:
        """Raises UserError for a model that diffusers' RePaint does not take."""
        if target.prediction != "epsilon" or target.classes is not None or target.network.config.out_channels > 4:
            raise UserError("RePaint of diffusers takes models without classes, which predict noise and no variance")
        self._target, self.evaluations = target, 0
        with _quiet():
            from diffusers import RePaintPipeline

            self._pipeline = RePaintPipeline(
                unet=target.network, scheduler=RePaintScheduler(trained_betas=betas(target))
            )
        self._pipeline.set_progress_bar_config(disable=True)

    def restored(self, pixels: torch.Tensor, setting: Setting, seed: int = 0) -> torch.Tensor:
        """float32 (n, c, h, w) in [-1, 1], the centre painted anew; noise from one generator, as its examples do."""
        hidden = HIDDEN.mask(Batch.of(pixels))
        options = {
            "num_inference_steps": setting.steps,
            "jump_length": setting.jump,
            "jump_n_sample": setting.samples,
            "generator": torch.Generator().manual_seed(seed),
            "output_type": "np",
        }
        with _quiet(), self._counted():
            found = self._pipeline(image=pixels, mask_image=(~hidden[:, None]).float(), **options).images
        return torch.from_numpy(found).permute(0, 3, 1, 2) * 2 - 1

    def scores(
        self, batch: Batch, setting: Setting, rows: int, progress: Progress = silent
    ) -> tuple[np.ndarray, float]:
        """Scores (n,) by the comparison of `drc`, `pixel` and `mean-log`, over the hidden centre; and evaluations of
        the network a picture."""
        before, found = self.evaluations, []
        for start in range(0, len(batch), rows):
            part = batch[start : start + rows]
            painted = self.restored(part.pixels, setting, seed=start)
            alike = Pixel().similarity(self._target, part.pixels, painted, HIDDEN.mask(part))
            found.append(pool(alike.view(-1, 1, 1), "mean-log", Pixel.highest).numpy())
            progress(f"RePaint {setting}", start + len(part), len(batch))
        return np.concatenate(found), (self.evaluations - before) / len(batch)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        def count(_module, inputs, _output):
            self.evaluations += len(inputs[0])

        hook = self._target.network.register_forward_hook(count)
        try:
            yield
        finally:
            hook.remove()


def betas(target: PixelUNet) -> np.ndarray:
    """The betas of the target's noise path, float32 (T,)."""
    kept: Sequence[float] = np.concatenate([[1.0], target.path.alphas.double().numpy() ** 2])
    return (1 - kept[1:] / kept[:-1]).astype(np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what diffusers says about the age of this pipeline."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
