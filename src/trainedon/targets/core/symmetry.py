"""The symmetry-conjugated model, `g^-1 f(g x)`: the model `f` under audit as a reference for itself.

What is easy to restore, such as a plain background, is restored well whether or not it was trained on. Difficulty is
taken off with the score under a reference model that never saw the picture (Watson et al., arXiv 2111.08440), which
there seldom is. Conjugated by a symmetry g of the picture plane (the model in a mirror), the same model knows as well
what pictures look like, and has no memory of `x` unless it was trained on `g x` too. Noise moves with the picture, so
that most of what is not memory cancels; what remains, such as that faces seldom stand upside down, is the same for
pictures that the model never saw. Views that cannot move noise (`transformations.Transformation.conjugates`) are asked
about as pictures of their own, with the noise of the picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from trainedon.condition import UNCONDITIONAL, Condition
from trainedon.errors import UserError
from trainedon.pictures.batch import VIEWS, Batch
from trainedon.targets.core.target import Target
from trainedon.targets.core.transformations import TRANSFORMATIONS, Move, Transformation

# Those that keep the shape of every rectangle, which `all` stands for; each is its own inverse.
SYMMETRIES: dict[str, Move] = {name: TRANSFORMATIONS[name].move for name in VIEWS}
# Two of them are as good as the third one; each undoes itself.
_TOGETHER = {frozenset(SYMMETRIES) - {third}: third for third in SYMMETRIES}

NO_REFERENCE = "the picture is its own mirror image, so that the model in a mirror says nothing new of it"
NO_OTHER_VIEW = "the picture looks the same in every view, so that none says anything new of it"


def named_symmetries(names: Sequence[str]) -> tuple[str, ...]:
    """The names themselves, of TRANSFORMATIONS; of `all` alone those of SYMMETRIES. Raises UserError for an unknown or
    repeated one."""
    if tuple(names) == ("all",):
        return tuple(SYMMETRIES)
    twice = [name for name in names if names.count(name) > 1]
    if twice and set(names) <= set(TRANSFORMATIONS):
        raise UserError(f"symmetries {'+'.join(names)}: {twice[0]} stands there twice, name it once")
    if not set(names) <= set(TRANSFORMATIONS):
        raise UserError(
            f"symmetries {'+'.join(names)} are not known: choose from {', '.join(TRANSFORMATIONS)}, joined by +, or "
            f"all ({'+'.join(SYMMETRIES)}), or none"
        )
    return tuple(names)


def no_reference(names: Sequence[str]) -> str:
    """Why a picture that none of these views changes has no score, in words."""
    return NO_REFERENCE if set(names) <= set(SYMMETRIES) else NO_OTHER_VIEW


def asked_in(target: Target, batch: Batch, symmetry: str) -> tuple[Target, Batch]:
    """Which model is asked about which pictures in a view: the conjugated one about the pictures as they are, or, where
    noise cannot be moved along, the target itself about the view."""
    view = TRANSFORMATIONS[symmetry]
    return (Symmetric.of(target, symmetry), batch) if view.conjugates(target) else (target, view.of(batch))


def changed(pixels: torch.Tensor, symmetry: str) -> np.ndarray:
    """Which pictures, float32 (n, c, h, w), the symmetry changes, by half a step of 8 bits somewhere: bool (n,).

    For a picture with `g x = x` the conjugated model gives the same answer, so it is no reference for it.
    """
    apart = (TRANSFORMATIONS[symmetry].move(pixels) - pixels).abs().flatten(1).amax(1)
    return (apart > 1 / 255).cpu().numpy()


def relative(
    here: np.ndarray, there: Sequence[np.ndarray], different: Sequence[np.ndarray], share: float = 1.0
) -> np.ndarray:
    """Scores minus `share` of the mean of those under the conjugated models whose symmetry changes the picture; NaN
    where none does.

    here, and each of there: float64 (n,); each of different: bool (n,), see `changed`.
    """
    weights = np.stack(different).astype(float)  # (views, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores: np.ndarray = here - share * (weights * np.stack(there)).sum(0) / weights.sum(0)
    return scores


@dataclass(eq=False, repr=False)
class Symmetric(Target):
    """`through` conjugated by `symmetry`, a view that moves noise along: what goes in is moved by it, what comes out is
    moved back.

    Passes are counted with those of `through`.
    """

    through: Target = None  # type: ignore[assignment]
    symmetry: str = ""

    @classmethod
    def of(cls, through: Target, symmetry: str) -> Target:  # type: ignore[override]  # never called as that of Target
        """symmetry: a name of TRANSFORMATIONS that `conjugates`. Of a model that is conjugated already, the one that
        both together make of the model beneath, where one does; that one itself where they undo each other."""
        if isinstance(through, Symmetric):
            both = _TOGETHER.get(frozenset((through.symmetry, symmetry)))
            if both is not None:
                return cls.of(through.through, both)
            if through.symmetry == symmetry and through.transformation.undoes_itself:
                return through.through
        alike = {field.name: getattr(through, field.name) for field in fields(Target)}
        # hashed, because memory and disk know a model by the first characters of its digest
        digest = hashlib.sha256(f"{symmetry} {through.identity.digest}".encode()).hexdigest()
        own = {
            "identity": replace(through.identity, digest=digest),
            "kept": through.kept.setdefault(("symmetric", symmetry), {}),
        }
        return cls(**alike | own, through=through, symmetry=symmetry)

    @property
    def transformation(self) -> Transformation:
        return TRANSFORMATIONS[self.symmetry]

    def _move(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.transformation.move(pixels)

    def _back(self, pixels: torch.Tensor) -> torch.Tensor:
        assert self.transformation.back is not None, "an interpolated view conjugates no model"
        return self.transformation.back(pixels)

    def _places_back(self, found: torch.Tensor) -> torch.Tensor:
        """Something else than pixels, moved back by its places alone."""
        return found if self.transformation.kind == "levels" else self._back(found)

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return self._back(self.through.predict(self._move(x_t), t, condition))

    def features(
        self, states: torch.Tensor, t: int, layer: str | None = None, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        return self._places_back(self.through.features(self._move(states), t, layer, condition))

    @property
    def attends(self) -> bool:
        return self.through.attends

    @property
    def inpaints(self) -> bool:
        return self.through.inpaints

    @property
    def latent(self) -> bool:
        return self.through.latent

    @property
    def picture(self) -> tuple[int, int, int]:
        return self.through.picture

    @property
    def conditioning(self) -> str | None:
        return self.through.conditioning

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._back(self.through.encode(self._move(pixels)))

    def decode(self, states: torch.Tensor) -> torch.Tensor:
        return self._back(self.through.decode(self._move(states)))

    @property
    def shows_influence(self) -> bool:
        return self.through.shows_influence

    def decoder_influence(self, states: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
        return self._back(self.through.decoder_influence(self._move(states), self._move(patterns)))

    def bounded(self, states: torch.Tensor) -> torch.Tensor:
        return self.through.bounded(states)

    def attention(
        self, states: torch.Tensor, t: int, condition: Condition = UNCONDITIONAL, words: bool = False
    ) -> torch.Tensor | None:
        received = self.through.attention(self._move(states), t, condition, words)
        return None if received is None else self._places_back(received)

    def gradient_norms(
        self, x_t: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        return self.through.gradient_norms(self._move(x_t), t, self._move(noise), condition)
