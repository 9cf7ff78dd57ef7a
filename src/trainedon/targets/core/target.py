"""The model under audit: what it knows, what it answers, and what a network of another kind must bring.

A network of somebody's own is brought in by `Target.of`, or, where that does not reach, by a class:

    class Mine(Target):
        def predict(self, x_t, t, condition):
            return my_network(x_t, t)

`predict` is all that must be written, and what most attacks ask. `features`, `attention` and `gradient_norms` are for
the attacks and regions that say so; a latent model also says `latent`, `picture`, `encode`, `decode` and `bounded`, and
for `pullback` `decoder_influence`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn import functional as F

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.asking import answering
from trainedon.targets.core.batching import Batching, Rows
from trainedon.targets.core.denoised import Denoised, denoised_by
from trainedon.targets.core.evaluations import Evaluations
from trainedon.targets.core.identity import Identity
from trainedon.targets.core.journal import Journal
from trainedon.targets.core.memo import Memo, Timed, remembering
from trainedon.targets.core.path import NoisePath, Prediction

if TYPE_CHECKING:
    from trainedon.pictures import Batch
    from trainedon.targets.core.own_network import OwnNetwork
    from trainedon.targets.core.own_noise import BetaSchedule, Levels, Numbers, Times
    from trainedon.targets.core.weights_digest import Weights

T = TypeVar("T")
LACKING = {
    "features": "shows no features of its network: choose another encoder, such as pixel",
    "gradients of weights": "gives no gradients of its weights: leave out gsa",
    "influence of latents": "has no decoder that can be differentiated: leave out pullback",
}


@dataclass(eq=False, repr=False)
class Target(ABC):
    """A diffusion model under audit. Attacks are written against this class alone.

    What it knows:
    identity: what a run records of it. shape: (c, h, w) of what the network denoises, called states here: latents of an
    autoencoder, or pixels of a model without one. path: its noise path. prediction: what the network answers: `epsilon`
    (noise), `sample` (clean state), `v_prediction` (arXiv 2202.00512) or `flow` (noise - clean state), or what else
    `denoised_by` knows. classes: number of class labels, None for a model without. device: where it works. precision:
    in which the network multiplies, float32, bfloat16 or float16; its answers are float32. options: what else it was
    loaded with, for the models beside it.

    What changes while it works:
    batching: how many rows go through the network at once. evaluations: the passes so far. memo: answers that are kept
    while it is `sharing`. kept: what attacks prepared once for this model, by their own keys.

    Batches come row by row: x_t float32 (n, c, h, w), t int64 (n,), and a condition of n rows. A row's answer must not
    depend on the rows beside it. Guidance is off.
    """

    identity: Identity
    shape: tuple[int, int, int]
    path: NoisePath
    prediction: Prediction
    classes: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "float32"
    options: dict[str, Any] = field(default_factory=dict)
    batching: Batching = field(default_factory=Batching)
    evaluations: Evaluations = field(default_factory=Evaluations)
    memo: Memo | None = None
    kept: dict[object, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        told = (self.identity.name, self.identity.family, f"shape={self.shape}", f"prediction={self.prediction}")
        return f"{type(self).__name__}({', '.join(told)}, digest={self.identity.digest[:12]})"

    @staticmethod
    def of(
        network: Callable[..., torch.Tensor],
        *,
        shape: tuple[int, int, int],
        prediction: str,
        betas: Numbers | BetaSchedule | None = None,
        sigmas: Numbers | Levels | None = None,
        path: NoisePath | None = None,
        times: Numbers | Times | None = None,
        pixels: tuple[float, float] = (-1.0, 1.0),
        classes: int | None = None,
        learned_sigma: bool = False,
        layer: str | None = None,
        weights: Weights | None = None,
        name: str | None = None,
        device: str | torch.device | None = None,
        rows: int = 32,
    ) -> OwnNetwork:
        """A target of a network of one's own: a module, or any callable (x_t, t) -> answer, (x_t, t, labels) -> answer
        where it has classes. It is tried once, on a few rows of noise.

        x_t: float32 (n, c, h, w), noised pictures in the network's own range and scale, without any further scaling.
        t: (n,), as `times` says. labels: int64 (n,). answer: float32, of the shape of x_t. A row's answer must not
        depend on the rows beside it; a module is put into evaluation mode.

        shape: (channels, height, width) of the pictures, 1 or 3 channels. prediction: what is answered: `epsilon` (the
        noise), `sample` (the clean picture, in the network's range), `v_prediction` (arXiv 2202.00512), `score`
        (arXiv 2011.13456), `flow` (the noise minus the picture) or `reverse_flow` (the picture minus the noise).
        One of these says how it was noised. betas: (T,), or the name of a schedule of diffusers, of 1000: `linear`,
        `scaled_linear`, `squaredcos_cap_v2`, `sigmoid`. sigmas: levels of `x + sigma eps`, growing (T,); `edm`: 1000 of
        them from 0.002 to 80 (arXiv 2206.00364, eq. 5); `flow`: `(1 - sigma) x + sigma eps` at 1/1000 ... 1. path: any
        other `x_t = alpha_t x + sigma_t eps`.
        times: what the network is given for step t of T, counted from 0: `index` (int64 t; with betas, when not given),
        `share` (t / T), `sigma` (the noise level sigma_t; with sigmas, when not given), `1-sigma` (time that runs from
        noise 0 to picture 1), or a number for each step, (T,); with path its `times`, when not given.
        pixels: what black and white are to the network. classes: how many it is conditioned on. learned_sigma: whether
        it answers 2c channels, the latter half a variance, which is left out. layer: the name of a module's part with
        an output (n, channels, h, w), whose features `encoder=own` compares. weights: modules, tensors or files that
        decide its answers, for the digest, besides those of a module. device: where it works; None: where its weights
        are. rows: how many rows go through it at once.

        Raises UserError where the trial pass fails, in the network's own code too, and says what was given and what is
        expected.
        """
        call = locals()
        from trainedon.targets.core.own_network import own_network  # which needs this class

        return own_network(**call)

    # What a network of another kind must bring

    @abstractmethod
    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """The network's raw answer, as `prediction` says: float32 (n, c, h, w).

        x_t: float32 (n, c, h, w) on the device; of a model that `inpaints` (n, 1 + 2c, h, w) where something is kept.
        t: int64 (n,) timestep indices in [0, T), on the device; `path.times[t]` are the numbers that stand for them in
        the network, where these are others. condition: `Classes` where `conditioning` is `class`, `Captions` where it
        is `caption`; else, or where no words are given, `UNCONDITIONAL`. Differentiable in x_t where gradients are
        enabled.
        """

    # What it may bring; an attack that lacks it says so

    def renew(self) -> Identity:
        """Called as a run starts: what may have changed since the target was made, such as weights in memory, is looked
        at again. The identity as it is now."""
        return self.identity

    def features(
        self, states: torch.Tensor, t: int, layer: str | None = None, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        """Activations of the network at `layer` (None: in the middle, of the way up where there is one) for the
        noise-free `alpha_t x`: float32 (n, channels, fh, fw). Counts n forward evaluations.

        Asked for by `encoder=own` of the DRC attacks. Raises UserError for a model that shows none.
        """
        raise self.lacks("features")

    def attention(
        self, states: torch.Tensor, t: int, condition: Condition = UNCONDITIONAL, words: bool = False
    ) -> torch.Tensor | None:
        """How much self-attention each place receives, averaged over heads and layers: float32 (n, h, w), at the
        picture's size. None, and no evaluation, when the network has none (`attends`); else counts n forward ones.

        Asked for by the regions `attention` and `words`. words: how much attention each place pays to the words of its
        caption instead; NaN where a caption has none.
        """
        return None

    def gradient_norms(
        self, x_t: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        """L2 norm of the gradient of `mean (noise(x_t, t) - noise)^2` in each parameter tensor of the network.

        Asked for by `gsa`. x_t, noise: float32 (m, c, h, w), the rows over which the error is averaged; t: int64 (m,).
        Returns float64 (tensors,) on the CPU. Counts m forward and m backward evaluations. Raises UserError for a model
        whose weights are not at hand.
        """
        raise self.lacks("gradients of weights")

    def decoder_influence(self, states: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
        """How much each dimension of latents moves the picture: the squared norm of its column in the decoder's
        Jacobian J at these latents, estimated without bias as the mean of `(J^T v)^2` over patterns v of random signs
        (Hutchinson's estimator, of `diag(J^T J)`).

        Asked for by `pullback`. states: float32 (n, *shape). patterns: float32 (probes, *picture) of -1 and 1. Returns
        float32 (n, *shape). Counts no evaluation. Raises UserError for a model without a decoder at hand.
        """
        raise self.lacks("influence of latents")

    def lacks(self, what: str) -> UserError:
        """What to say where something of LACKING is asked of a model that has none."""
        return UserError(f"{self.identity.name} {LACKING[what]}")

    @property
    def shows_features(self) -> bool:
        """Whether `features` has an answer; no evaluation."""
        return type(self).features is not Target.features

    @property
    def differentiable(self) -> bool:
        """Whether `predict` can be differentiated in x_t; no evaluation."""
        return True

    @property
    def gives_gradients(self) -> bool:
        """Whether `gradient_norms` has an answer; no evaluation."""
        return type(self).gradient_norms is not Target.gradient_norms

    @property
    def shows_influence(self) -> bool:
        """Whether `decoder_influence` has an answer; no evaluation."""
        return type(self).decoder_influence is not Target.decoder_influence

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
        """Whether the network was trained to be given which part is hidden, and what the rest is (`denoise`)."""
        return False

    @property
    def conditioning(self) -> str | None:
        """What it is conditioned on: `class`, `caption`, or None for an unconditional model."""
        return None if self.classes is None else "class"

    @property
    def latent(self) -> bool:
        """Whether the network denoises latents, not pixels."""
        return False

    @property
    def picture(self) -> tuple[int, int, int]:
        """(c, h, w) of the pictures that the model takes, in pixels."""
        return self.shape

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents (n, *shape) of pictures, float32 (n, *picture) in [-1, 1]; of a pixel model the pictures
        themselves."""
        return pixels

    def decode(self, states: torch.Tensor) -> torch.Tensor:
        """Pictures (n, *picture) of latents or pixels; where the model painted them, they may lie outside [-1, 1]."""
        return states

    def bounded(self, states: torch.Tensor) -> torch.Tensor:
        """Latents or pixels within the bounds that those of pictures have: [-1, 1] for pixels."""
        return states.clamp(-1, 1)

    # What attacks ask of any model

    @property
    def timesteps(self) -> int:
        """T, the number of timesteps of the noise path."""
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
        it all. Counts n forward evaluations. Differentiable in `x_t` where gradients are enabled. Raises UserError
        where the network fails by itself, or answers in another shape.
        """
        x = x_t if given is None else torch.cat([x_t, given], dim=1)
        answer = self._answer(x, torch.as_tensor(t, device=self.device).expand(len(x_t)), condition)
        return self.explained(x_t, t, answer)

    def explained(self, x_t: torch.Tensor, t: torch.Tensor | int, answer: torch.Tensor) -> Denoised:
        """Noise and clean state by the network's answer to `x_t`. Counts n forward evaluations."""
        if answer.shape != x_t.shape:
            raise UserError(f"{self.identity.name} answers {list(answer.shape)} to {list(x_t.shape)}: it is damaged")
        self.evaluations.forward += len(x_t)
        alpha, sigma = self.path.at(t, x_t)  # t on the CPU, where it was given so: avoids a wait for the accelerator
        found = denoised_by(self.prediction, x_t, answer, alpha, sigma)
        if found is None:
            known = "epsilon, sample, v_prediction, flow, reverse_flow and score"
            raise UserError(f"{self.identity.name}: prediction {self.prediction!r} is not known: {known} are")
        return found

    def noised(self, states: torch.Tensor, t: torch.Tensor | int, noise: torch.Tensor) -> torch.Tensor:
        """`alpha_t x + sigma_t eps`, shapes (n, c, h, w); t = -1 gives the states back."""
        alpha, sigma = self.path.at(t, states)
        return alpha * states + sigma * noise

    def onto_states(self, mask: torch.Tensor) -> torch.Tensor:
        """A mask of pictures, bool (n, *picture[1:]), at the size of latents: a place is True if any pixel of it is."""
        if mask.shape[1:] == self.shape[1:]:
            return mask
        return F.adaptive_max_pool2d(mask.float().unsqueeze(1), self.shape[1:])[:, 0] > 0

    def condition_of(self, batch: Batch) -> Condition:
        """What the model is conditioned on for pictures: the batch's condition where it is of the model's kind, else
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

    # How rows go through it, and what is kept of answers

    def batched(
        self, network: Rows, x: torch.Tensor, t: torch.Tensor, condition: Condition, rows: int | None = None
    ) -> torch.Tensor:
        """Rows through a part of the model, batched as `batching` says, or at most `rows` at once."""
        return self.batching.through(self.checked(network), x, t, condition, rows)

    def checked(self, network: Rows) -> Rows:
        """`network`, whose own failures are told as the model's: see `answering`."""

        def checked(*part: Any) -> torch.Tensor:
            with answering(self.identity.name):
                return network(*part)

        return checked

    def _answer(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        if self.memo is None or torch.is_grad_enabled():
            return self.batched(self.predict, x_t, t, condition)
        answer, seconds = self.memo.answers(
            self.identity.digest,
            x_t,
            t,
            condition,
            lambda *rows: self.batched(self.predict, *rows),
            self.batching.at_once(self.device),
        )
        self.evaluations.spared += seconds
        return answer

    @property
    def adapts(self) -> bool:
        """Whether batches become smaller where rows take long: see `Batching.adapts`."""
        return self.predicts and self.batching.adapts(self.device)

    @contextmanager
    def sharing(self, journal: Journal | None = None) -> Iterator[None]:
        """Inside the block equal inputs are evaluated once, here and in models that share the memo, and answers that a
        journal holds from an earlier process are not computed again."""
        self.memo = Memo(journal=journal)
        try:
            yield
        finally:
            self.memo = None

    def shared(self, key: object, compute: Callable[[], T]) -> T:
        """`compute()`, or what it gave for the same key while the target is `sharing`; its passes count again."""
        return compute() if self.memo is None else self.memo.cached(key, self.evaluations, compute)

    def remembering(self, key: object, value: Callable[[], Any]) -> AbstractContextManager[Timed]:
        """The next call of `shared` with this key gives `value()`, taken at the end of the block. The block is given a
        function that runs a part of the work, and charges it."""
        return remembering(self.memo, self.evaluations, key, value)

    def counted(self) -> AbstractContextManager[Evaluations]:
        """Evaluations made inside the block."""
        return self.evaluations.counted()
