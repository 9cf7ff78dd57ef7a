"""The model under audit, seen through one interface."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch.nn import functional as F

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.asking import answering
from trainedon.targets.journal import Journal
from trainedon.targets.memo import Memo
from trainedon.targets.pace import Pace
from trainedon.targets.path import NoisePath

if TYPE_CHECKING:
    from trainedon.pictures import Batch

T = TypeVar("T")
PAD = 8
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# The smallest alpha that a prediction of the clean picture is divided by: at zero terminal signal-to-noise ratio the
# noise says nothing of the picture, and a large but finite answer is what the callers' clipping expects.
SMALLEST_ALPHA = 2.0**-12


class Denoised(NamedTuple):
    """What the network says of `x_t`: noise and clean picture, each like `x_t` (n, c, h, w)."""

    noise: torch.Tensor
    clean: torch.Tensor


@dataclass
class Evaluations:
    """Network passes so far, in rows (one picture through the network once is one): forward and backward.

    An answer that was known already counts like any other: these are the passes that were asked for. `spared` says how
    many seconds the known ones had taken.
    """

    forward: int = 0
    backward: int = 0
    spared: float = 0.0


@dataclass(frozen=True)
class Identity:
    """What a run records of its model. digest: sha256 of the files that decide its answers. distilled: why it is taken
    for a few-step student of another, if it is."""

    name: str
    digest: str
    family: str
    parameters: int
    notes: tuple[str, ...] = ()
    distilled: str | None = None


@dataclass(eq=False)
class Target(ABC):
    """A diffusion model under audit. Attacks are written against this class alone.

    shape: (c, h, w) of what the network denoises, its state: the picture itself, or the latents that an autoencoder
    makes of it. path: its noise path. prediction: what the network answers. classes: number of class labels, None for
    a model without. rows: how many states go through the network at once. precision: in which the network multiplies,
    a key of PRECISIONS; its answers are float32. compiled: whether it goes through `torch.compile`. Both change scores.
    kept: what attacks prepared once for this model, by their own keys. pace: where the rows' time is measured, if it
    is. options: what else it was loaded with, for the
    models beside it.

    condition: what the network is conditioned on, row by row. Guidance is off.
    """

    identity: Identity
    shape: tuple[int, int, int]
    path: NoisePath
    prediction: str
    classes: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rows: int = 64
    precision: str = "float32"
    compiled: bool = False
    evaluations: Evaluations = field(default_factory=Evaluations)
    kept: dict[object, object] = field(default_factory=dict)
    memo: Memo | None = None
    pace: Pace | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @abstractmethod
    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """The network's raw answer, (n, c, h, w)."""

    @abstractmethod
    def features(
        self, states: torch.Tensor, t: int, layer: str | None = None, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        """Activations of the network at `layer` (None: in the middle, of the way up where there is one) for the
        noise-free `alpha_t x`.

        Returns float32 (n, channels, fh, fw); one evaluation a state.
        """

    @abstractmethod
    def attention(
        self, states: torch.Tensor, t: int, condition: Condition = UNCONDITIONAL, words: bool = False
    ) -> torch.Tensor | None:
        """How much self-attention each place receives, averaged over heads and layers: float32 (n, h, w), at the
        picture's size. None, and no evaluation, when the network has no self-attention.

        words: how much attention each place pays to the words of its caption instead; NaN where a caption has none.
        """

    @abstractmethod
    def gradient_norms(
        self, x_t: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        """L2 norm of the gradient of `mean (noise(x_t, t) - noise)^2` in each parameter tensor of the network.

        x_t, noise: float32 (m, c, h, w), the rows over which the error is averaged; t: int64 (m,). Returns float64
        (tensors,) on the CPU. Counts m forward and m backward evaluations.
        """

    @property
    def attends(self) -> bool:
        """Whether `attention` has an answer; no evaluation."""
        return False

    @property
    def predicts(self) -> bool:
        """Whether the network itself can be asked; False for a service that only varies pictures."""
        return True

    @property
    def inpaints(self) -> bool:
        """Whether the network was trained to be told which part is hidden, and what the rest is (`denoise`)."""
        return False

    @property
    def latent(self) -> bool:
        """Whether states are latents, and not the pictures themselves."""
        return False

    @property
    def picture(self) -> tuple[int, int, int]:
        """(c, h, w) of the pictures that the model takes, in pixels."""
        return self.shape

    @property
    def conditioning(self) -> str | None:
        """`class`, `caption`, or None for an unconditional model."""
        return None if self.classes is None else "class"

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """States (n, *shape) of pictures, float32 (n, *picture) in [-1, 1]: those of a pixel model are the pictures."""
        return pixels

    def decode(self, states: torch.Tensor) -> torch.Tensor:
        """Pictures (n, *picture) of states; where the model painted them, they may lie outside [-1, 1]."""
        return states

    def bounded(self, states: torch.Tensor) -> torch.Tensor:
        """States within the bounds that those of pictures have: [-1, 1] for the pixels of a pixel model."""
        return states.clamp(-1, 1)

    def onto_states(self, mask: torch.Tensor) -> torch.Tensor:
        """A mask of pictures, bool (n, *picture[1:]), as one of states: a place is True if any pixel of it is."""
        if mask.shape[1:] == self.shape[1:]:
            return mask
        return F.adaptive_max_pool2d(mask.float().unsqueeze(1), self.shape[1:])[:, 0] > 0

    def condition_of(self, batch: Batch) -> Condition:
        """What the model is conditioned on about pictures: the batch's condition where it is of the model's kind, else
        the pictures' labels or captions, the empty caption where one has none.

        Raises UserError where a class-conditional model is given no labels.
        """
        if self.conditioning == "caption":
            if isinstance(batch.condition, Captions):
                return batch.condition
            return Captions(tuple(caption or "" for caption in batch.captions or [""] * len(batch)))
        if self.conditioning is None:
            return UNCONDITIONAL
        if isinstance(batch.condition, Classes):
            return batch.condition
        if batch.labels is None:
            raise UserError(f"the model was trained with {self.classes} classes: give the pictures' class labels")
        return Classes(batch.labels)

    @property
    def timesteps(self) -> int:
        return len(self.path)

    def denoise(
        self,
        x_t: torch.Tensor,
        t: torch.Tensor | int,
        condition: Condition = UNCONDITIONAL,
        given: torch.Tensor | None = None,
    ) -> Denoised:
        """Noise and clean state in `x_t`, whatever the network was trained to answer.

        x_t: float32 (n, c, h, w). t: int or int64 (n,) timestep index in [0, T). given: float32 (n, 1 + c, h, w), for a
        model that `inpaints`: 1 where the state is hidden and 0 elsewhere, and the state of what is kept; None hides
        it all. Counts n forward evaluations. Differentiable in `x_t` where gradients are enabled.
        """
        alpha, sigma = self.path.at(t, x_t)  # from t as it is given: one on an accelerator would have to be waited for
        asked = x_t if given is None else torch.cat([x_t, given], dim=1)
        answer = self._answer(asked, torch.as_tensor(t, device=self.device).expand(len(x_t)), condition)
        if answer.shape != x_t.shape:
            raise UserError(f"{self.identity.name} answers {list(answer.shape)} to {list(x_t.shape)}: it is damaged")
        self.evaluations.forward += len(x_t)
        if self.prediction == "flow":  # the velocity eps - x0 (arXiv 2403.03206, eq. 2 and 5)
            return Denoised(x_t + alpha * answer, x_t - sigma * answer)
        if self.prediction == "epsilon":
            return Denoised(answer, (x_t - sigma * answer) / alpha.clamp(min=SMALLEST_ALPHA))
        if self.prediction == "sample":
            return Denoised((x_t - alpha * answer) / sigma.clamp(min=SMALLEST_ALPHA), answer)
        return Denoised(sigma * x_t + alpha * answer, alpha * x_t - sigma * answer)  # v, arXiv 2202.00512, appendix D

    def _answer(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        if self.memo is None or torch.is_grad_enabled():
            return self._in_chunks(self.predict, x_t, t, condition)
        answer, seconds = self.memo.answers(
            self.identity.digest,
            x_t,
            t,
            condition,
            lambda *rows: self._in_chunks(self.predict, *rows),
            self._at_once(),
        )
        self.evaluations.spared += seconds
        return answer

    @contextmanager
    def sharing(self, journal: Journal | None = None) -> Iterator[None]:
        """Inside the block the network is asked once for equal inputs, here and in the models `like` this one; and what
        a journal holds of another process's answers is not asked again."""
        self.memo = Memo(journal=journal)
        try:
            yield
        finally:
            self.memo = None

    def shared(self, key: object, compute: Callable[[], T]) -> T:
        """`compute()`, or what it gave for the same key while the target is `sharing`; its passes count again."""
        return compute() if self.memo is None else self.memo.whole(key, self, compute)

    @contextmanager
    def remembering(self, key: object, value: Callable[[], Any]) -> Iterator[Callable[[Callable[[], T]], T]]:
        """For the next who asks `shared` for this key: `value()` at the end of the block. What the block is given runs
        a part of the work, and charges it."""
        charged = Evaluations()

        def timed(work: Callable[[], T]) -> T:
            began = time.perf_counter()
            with self.counted() as spent:
                answer = work()
            charged.forward, charged.backward = charged.forward + spent.forward, charged.backward + spent.backward
            charged.spared += time.perf_counter() - began + spent.spared
            return answer

        yield timed
        if self.memo is not None:
            self.memo.remember(key, value(), charged)

    def noised(self, pictures: torch.Tensor, t: torch.Tensor | int, noise: torch.Tensor) -> torch.Tensor:
        """`alpha_t x + sigma_t eps`, shapes (n, c, h, w); t = -1 gives the pictures back."""
        alpha, sigma = self.path.at(t, pictures)
        return alpha * pictures + sigma * noise

    @contextmanager
    def counted(self) -> Iterator[Evaluations]:
        """Evaluations made inside the block."""
        before = replace(self.evaluations)
        spent = Evaluations()
        yield spent
        for name, value in vars(before).items():
            setattr(spent, name, getattr(self.evaluations, name) - value)

    def _filled(self, n: int, most: int) -> int:
        """How many rows the network is given for n of them; a compiled one few sizes, for each of which it is compiled.

        n, 1 at least, is at most `most`, a multiple of PAD.
        """
        if self.compiled:
            return min(PAD << (-(-n // PAD) - 1).bit_length(), most)
        # with one thread PyTorch computes 1 x 1 convolutions of fewer than 16 rows by itself, and rounds otherwise
        return max(n + -n % PAD, 2 * PAD if torch.get_num_threads() == 1 else PAD)

    def shrink(self) -> bool:
        """After memory ran out: halve `rows` down to PAD and give back what is cached. False if that was the least."""
        smaller = max(PAD, self.rows // 2)
        shrunk, self.rows = smaller < self.rows, min(smaller, self.rows)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()
        return shrunk

    @property
    def adapts(self) -> bool:
        """Whether fewer rows at once change no answer, and time is measured by waiting for them: on a processor."""
        return self.pace is not None and self.predicts and self.device.type == "cpu" and not self.compiled

    def _at_once(self) -> int:
        """How many rows the network is given, a multiple of PAD, so that only the last batch is filled up."""
        most = self.rows // PAD * PAD
        if self.adapts and not torch.is_grad_enabled():  # gradients of weights are summed over all rows at once
            most = min(most, self.pace.within(1) // PAD * PAD)
        return max(PAD, int(most))

    def _in_chunks(self, network, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Rows through the network, at most `rows` at once, filled up to a multiple of PAD.

        Kernels are chosen by batch size, and a lone row may take one that rounds otherwise; filled-up batches take the
        same one, so that a picture's answer does not depend on how many others come along.
        """
        answers, size = [], self._at_once()
        for start in range(0, len(x), size):
            began = self.pace.clock() if self.pace else 0.0
            part = slice(start, start + size)
            xs, ts, cs = x[part], t[part], condition[part]
            n, missing = len(xs), self._filled(len(xs), size) - len(xs)
            if missing:
                xs = torch.cat([xs, xs[:1].detach().expand(missing, *xs.shape[1:])])
                ts = torch.cat([ts, ts[:1].expand(missing)])
                cs = cs.filled(missing)
            with answering(self.identity.name):
                answers.append(network(xs, ts, cs)[:n])
            if self.pace:
                if self.adapts:
                    self.pace.measure(len(xs), self.pace.clock() - began)
                self.pace.tell(start + n)
        return answers[0] if len(answers) == 1 else torch.cat(answers)
