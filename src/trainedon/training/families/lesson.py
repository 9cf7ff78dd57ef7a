"""What a family adds to the training loop: a network, the loss of one step, and the folder that it becomes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.training.families.augment import AUGMENTATIONS

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

# What a picture may have to have beside its pixels, and what to do when it has none.
NEEDED = {
    "caption": "a caption is needed for every member: put a text file beside each picture, as a.txt beside a.png",
    "label": "a label is needed for every member: put the pictures into folders named by whole numbers, 0 first",
}


class AnyRecipe(Protocol):
    """What the loop itself asks of a recipe, a frozen dataclass; the rest of it is the family's.

    condition: what of NEEDED each member must have. size, channels: of the pictures; None where they follow from a
    model that is not known yet.
    """

    family: ClassVar[str]
    condition: ClassVar[str | None]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def size(self) -> int | None: ...

    @property
    def channels(self) -> int | None: ...

    @property
    def passes(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def warmup(self) -> int: ...

    @property
    def ema(self) -> float: ...

    @property
    def seed(self) -> int: ...

    def lesson(self, material: Material) -> Lesson:
        """The lesson that this recipe makes of the material."""


@dataclass(frozen=True)
class Material:
    """What is learnt from.

    pixels: float32 (n, c, h, w) in [-1, 1]; every one is a member. labels: int64 (n,). captions: n texts.
    autoencoder: frozen, for what is learnt in its latents. texts: captions of members and others alike, of which a
    vocabulary is made, so that the words do not tell who is a member. base: the folder of the model to adapt.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None = None
    captions: tuple[str | None, ...] | None = None
    autoencoder: AutoencoderKL | None = None
    texts: tuple[str, ...] = ()
    base: Path | None = None


class Lesson(ABC):
    """network: the `torch.nn.Module` of all that is trained (of its parameters those that take gradients). rows: how
    many a pass goes over. whole: the file that is written last, so that a folder which has it is a whole model."""

    network: Any  # diffusers and transformers carry no types
    rows: int
    whole: str = "model_index.json"

    @abstractmethod
    def loss(self, step: int) -> torch.Tensor:
        """The mean loss of one batch: a function of the weights, the seed and the step alone."""

    @abstractmethod
    def save(self, network: Any, folder: Path) -> None:
        """Write the model with the weights of `network`, a copy of `self.network`, into an empty folder."""


def batch_rows(pace: AnyRecipe, n: int, step: int) -> torch.Tensor:
    """The rows of a step, int64 (b,): every pass goes over all of them once, in an order of its own."""
    epoch, batch = divmod(step, math.ceil(n / pace.batch_size))
    order = generator(pace.seed, "order", epoch).permutation(n)
    return torch.from_numpy(order[batch * pace.batch_size : (batch + 1) * pace.batch_size])


def noised_batch(
    pace: AnyRecipe,
    clean: torch.Tensor,
    scheduler: Any,
    step: int,
    *,
    flip: bool = False,
    augment: Sequence[str] = (),
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """What one step trains on: rows (b,), timesteps (b,), noised rows of `clean` and what the network is to answer.

    clean: float32 (n, c, h, w), pictures or latents. scheduler: of diffusers, for its noise path and prediction type.
    flip: whether each row is mirrored by a coin. augment: names of AUGMENTATIONS, done one after another.
    """
    rows = batch_rows(pace, len(clean), step)
    rng = generator(pace.seed, "step", step)
    t = torch.from_numpy(rng.integers(0, scheduler.config.num_train_timesteps, len(rows)))
    x0 = clean[rows]  # (b, c, h, w)
    if flip:
        x0 = torch.where(coins(pace, len(rows), "flip", step, 0.5).view(-1, 1, 1, 1), x0.flip(-1), x0)
    for name in augment:
        x0 = AUGMENTATIONS[name](x0, generator(pace.seed, name, step))
    eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
    ab = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    x_t = (ab.sqrt() * x0 + (1 - ab).sqrt() * eps).to(memory_format=torch.channels_last)
    return rows, t, x_t, regression_target(scheduler.config.prediction_type, x0, eps, ab)


def regression_target(prediction: str, x0: torch.Tensor, eps: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """What a network of this prediction type is to answer. ab: alpha-bar, shaped to multiply pictures."""
    if prediction == "epsilon":
        return eps
    if prediction == "sample":
        return x0
    return ab.sqrt() * eps - (1 - ab).sqrt() * x0  # v, Salimans & Ho, arXiv 2202.00512


def dropped(pace: AnyRecipe, rows: int, share: float, step: int) -> torch.Tensor:
    """Which rows of a step go without their condition, bool (rows,), as classifier-free guidance needs."""
    return coins(pace, rows, "dropped", step, share)


def coins(pace: AnyRecipe, rows: int, what: str, step: int, share: float) -> torch.Tensor:
    """Which rows of a step fall heads, each with a chance of `share`: bool (rows,). what: that the coins decide."""
    return torch.from_numpy(generator(pace.seed, what, step).random(rows) < share)


def captioned(material: Material) -> tuple[str, ...]:
    """The captions. Raises UserError when there are none, or fewer than pictures."""
    told = tuple(caption for caption in material.captions or () if caption is not None)
    if material.captions is None or len(told) < len(material.captions):
        raise UserError(NEEDED["caption"])
    return told


def labelled(material: Material) -> torch.Tensor:
    """The labels. Raises UserError when there are none."""
    if material.labels is None:
        raise UserError(NEEDED["label"])
    return material.labels


@contextmanager
def weights_from(seed: int) -> Iterator[None]:
    """Inside, fresh networks take their weights from the seed; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def check_widths(widths: tuple[int, ...], size: int, factor: int = 1) -> None:
    """Raises UserError for widths that make no network, and for a size that cannot be halved between them.

    factor: by how much an autoencoder has made pictures of that size smaller before.
    """
    if not widths or min(widths) < 1:
        raise UserError(f"widths {widths} make no network: give one positive number a level")
    halvings = 2 ** (len(widths) - 1) * factor
    if size % halvings:
        raise UserError(f"{len(widths)} widths need a size that {halvings} divides, not {size}")
