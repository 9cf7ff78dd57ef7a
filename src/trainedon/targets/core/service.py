"""A model behind a service: nothing of it is seen but what it makes of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainedon.condition import Condition
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.targets.core.identity import Identity
from trainedon.targets.core.path import NoisePath
from trainedon.targets.core.target import Target

# (pixels, strength, seeds, captions) -> pictures like pixels; see `Service`.
Vary = Callable[[torch.Tensor, float, Sequence[int], Sequence[str]], torch.Tensor]


@dataclass(eq=False, repr=False)
class Service(Target):
    """Anything that varies a picture: `Service.of(callable)`, or an img2img pipeline of diffusers.

    vary: takes pictures, float32 (n, c, h, w) in [-1, 1], a strength in (0, 1], the share of the noise path that each
    is sent up and brought back, a seed a picture, and a caption a picture, empty where there is none; gives a variation
    of each, of the same shape and range. Only attacks that are content with that work on it (`rediffuse`).
    """

    vary: Vary = None  # type: ignore[assignment]

    @classmethod
    def of(  # type: ignore[override]  # another way to make another kind, and never called as that of Target
        cls, vary: Vary, picture: tuple[int, int, int], name: str = "service", device: str = "cpu"
    ) -> Service:
        """picture: (c, h, w) of the pictures that it takes."""
        digest = hashlib.sha256(f"service {name} {picture}".encode()).hexdigest()
        identity = Identity(name, digest, "service that varies pictures", 0)
        path = NoisePath.from_scheduler({})
        return cls(identity, picture, path, "none", device=torch.device(device), vary=vary)

    @classmethod
    def of_pipeline(cls, pipeline: Any, picture: tuple[int, int, int], steps: int = 50, **options: Any) -> Service:
        """An img2img pipeline of diffusers, asked for `steps` steps of which each variation takes its strength's share.

        options: given to every call; guidance is off (`guidance_scale` 1) unless they say otherwise.
        """
        options = {"guidance_scale": 1.0, "num_inference_steps": steps, "output_type": "pt"} | options

        def vary(pixels: torch.Tensor, strength: float, seeds: Sequence[int], captions: Sequence[str]) -> torch.Tensor:
            made = [
                pipeline(
                    prompt=caption,
                    image=(one[None] + 1) / 2,
                    strength=strength,
                    generator=torch.Generator().manual_seed(seed),
                    **options,
                ).images
                for one, seed, caption in zip(pixels, seeds, captions, strict=True)
            ]
            return torch.cat([torch.as_tensor(one) for one in made]).float().to(pixels.device) * 2 - 1

        pipeline.set_progress_bar_config(disable=True)
        return cls.of(vary, picture, type(pipeline).__name__)

    @property
    def predicts(self) -> bool:
        return False

    @property
    def conditioning(self) -> str:
        return "caption"

    def varied(
        self, pixels: torch.Tensor, t: int, sha256: Sequence[str], draws: Sequence[object], captions: Sequence[str]
    ) -> torch.Tensor:
        """One variation of each picture, (n, c, h, w), sent up to timestep `t` of the usual DDPM path; its seed is a
        function of digest and draw. Counts n evaluations: how many passes each takes is the service's affair.

        Raises UserError when the service answers with something else than pictures like those it was given.
        """
        seeds = [int(generator("variation", *key).integers(2**31)) for key in zip(sha256, draws, strict=True)]
        made = self.vary(pixels, t / 1000, seeds, captions)
        if not (isinstance(made, torch.Tensor) and made.shape == pixels.shape):
            raise UserError(
                f"{self.identity.name} was given pictures {tuple(pixels.shape)} and answered "
                f"{tuple(getattr(made, 'shape', ())) or type(made).__name__}: it must answer with a variation of each"
            )
        self.evaluations.forward += len(pixels)
        return made.float()

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        raise UserError(f"{self.identity.name} is a service that only varies pictures: take rediffuse")
