"""What an attack is: what it declares, and what it may say in its own way. `execute` runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch

from trainedon.attacks.core import execute
from trainedon.attacks.core.answers import Cost, Progress, Reported, Scored, silent
from trainedon.errors import UserError
from trainedon.formats.null_view import NullView
from trainedon.pictures import Batch
from trainedon.spec import Noun, Part, parameters
from trainedon.targets import Reference, Shadows, Target

ShownAs = Literal["hidden", "noised"]
RelativeTo = Literal["self", "reference"]
Need = Literal["gradients", "unseen", "labels", "captions", "classes", "shadows", "reference", "control"]

# Needs that no option has to meet: model and pictures bring them, and `check` or `conclude` say where they do not.
HAVE: tuple[Need, ...] = ("gradients", "unseen", "labels", "captions", "classes")
# An attack that has versions -> the one that its plain name means. A version never changes; a better one gets a number
# of its own.
RECOMMENDED = {"drc": "drc@2", "drc-paint": "drc-paint@2"}
# Several attacks under one name, for one test of all together. `cdi`: scores that dataset inference puts together
# (arXiv 2411.12858, section 5). `drc-set`: each reference of `drc` by itself, so that the test can leave out the one
# that the training knew.
GROUPS = {
    "cdi": ", ".join(f"loss(t={t})" for t in range(100, 1000, 100))
    + ", secmi, pia, pian, sima, pfami, noise-aggregation",
    "drc-set": ", ".join(f"drc@2(symmetries={view}, restorations=6)" for view in ("mirror", "half-turn")),
}
REMEDIES: dict[Need, str] = {
    "gradients": "gradients of the network: count them among what you have",
    "labels": "pictures whose membership is known, which `trainedon evaluate` has and an audit has not",
    "unseen": "unseen pictures: give --unseen DIR",
    "shadows": "shadow models: give --shadows DIR, which `trainedon train PICTURES --shadows 8 --out DIR` makes",
    "reference": "a reference model, which never saw the pictures: give --reference MODEL",
    "control": "a control model, which cannot have seen any of the pictures: give --control MODEL",
    "classes": "a model conditioned on several classes, and this one is not: leave it out, or audit such a model",
    "captions": "a model conditioned on captions, and this one is not: leave it out, or audit a text-to-image model",
}
NOT_FINITE = "the score is not a finite number"


class Attack(Part, ABC):
    """One attack with all its parameters: a frozen dataclass, whose `repr` names every one of them.

    A class must define `name` (as on the command line), `title`, `paper` (arXiv id or venue), `cost` and `score_batch`.
    All else has a default. What stands here as a property may be declared as data: `needs: ClassVar = ("gradients",)`.

    repeats: whether by itself it evaluates the network twice on equal inputs, so that caching answers saves passes.
    black_box: whether a service that varies pictures is enough for it.
    reported: what its paper prints.
    """

    noun: ClassVar[Noun] = Noun(
        "attack", "trainedon.attacks", example="pia", also=("all", *GROUPS), recommended=RECOMMENDED
    )
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # every attack is a dataclass
    title: ClassVar[str]
    paper: ClassVar[str]
    repeats: ClassVar[bool] = True
    black_box: ClassVar[bool] = False
    reported: ClassVar[tuple[Reported, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for declared in ("needs", "also_needs"):
            needs = getattr(cls, declared, ())
            if isinstance(needs, tuple) and (unknown := set(needs) - {*get_args(Need)}):
                raise TypeError(f"{cls.__name__}.{declared}: {unknown} is none of {', '.join(get_args(Need))}")

    @abstractmethod
    def cost(self, target: Target) -> Cost:
        """Network passes a picture; of an attack without its shadow models as if it had one."""

    @abstractmethod
    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor | Scored:
        """Scores of a batch that is valid and lies on the target's device: (n,), or (n, d) of an attack that learns.

        `Scored` where there are exhibits, or where the scores are computed by NumPy. Gradients are off. What is not
        finite becomes *not scored*.
        """

    def score(self, target: Target, pictures: Batch | torch.Tensor, sets: Sequence[str] | None = None) -> np.ndarray:
        """One number a picture, float64 (n,), higher = member; NaN where the attack has no answer.

        pictures: a Batch, or float32 (n, c, h, w) in [-1, 1] at the target's size. sets: for an attack that learns,
        what each picture is: member, unseen or suspect. Raises UserError as `check` does, for pictures that the model
        does not take, and where memory does not suffice for one.
        """
        batch = pictures if isinstance(pictures, Batch) else Batch.of(pictures)
        if self.learns and (sets is None or len(sets) != len(batch)):
            raise UserError(
                f"{self.name} learns from known pictures: say of each whether it is member, unseen or suspect"
            )
        found = execute.run(self, target, batch).scores
        return self.conclude(found, sets or [], batch.sha256) if self.learns else found

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        """Scores (n,) of an attack that learns, from what `score_batch` said of all pictures of a run (n, d).

        sets: member, unseen or suspect. The set of a picture has no influence on its own score.
        """
        return observed

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        """What is done once for each audited model, before the first picture. Doing it again costs nothing."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it uses beyond the noise prediction: gradients, unseen, labels, captions, classes, shadows,
        reference, control. A need that is also a parameter (the last three) is met when that parameter is given."""
        return ()

    @property
    def observes(self) -> tuple[Attack, ...]:
        """Other attacks whose scores, a column each, are all that it learns from; a run that has them does not compute
        them again."""
        return ()

    @property
    def unscored(self) -> str:
        """Why a picture may have no score, in words."""
        return NOT_FINITE

    @property
    def shown_as(self) -> ShownAs | None:
        """How pictures that people are shown relate to those that are scored.

        `hidden`: they are the same, part of each hidden and restored, and come as exhibits with the scores. `noised`:
        scored is the whole picture, noised or faded, which comes back much as it was, so that it is shown painted back
        from a mosaic, which has no part in the score. None: nothing is shown.
        """
        return None

    @property
    def relative_to(self) -> RelativeTo | None:
        """What the score is the difference to: the audited model `self`, symmetry-conjugated; a `reference` model;
        None for a score that stands by itself."""
        return None

    @property
    def null_view(self) -> NullView | None:
        """The view of the picture whose score is taken off, and nothing else: of pictures that the model never saw, of
        a kind that is as likely in this view, scores are as likely positive as negative. None for other scores."""
        return None

    @property
    def filed(self) -> str:
        """Its name in the files of a run. A first version has its plain one, as it had before there were versions."""
        return self.name.removesuffix("@1")

    @property
    def learns(self) -> bool:
        """Whether a score also depends on which other pictures of the run are unseen, or members."""
        return not {"labels", "unseen"}.isdisjoint(self.needs)

    @property
    def looks_in(self) -> tuple[str, ...]:
        """The views in which the model is asked about a picture, besides as it is: `symmetries`, where it has them."""
        return getattr(self, "symmetries", ())

    def inside(self) -> list[Attack]:
        """The attacks that it is made of, of those that are its parameters."""
        held: list[Attack] = []
        for value in self._made_of().values():
            held += value if isinstance(value, tuple) else [value]
        return held

    def with_inside(self, changed: Callable[[Attack], Attack]) -> Self:
        """The same of others than the attacks `inside`; itself where these stay what they are."""
        new = {
            name: tuple(map(changed, value)) if isinstance(value, tuple) else changed(value)
            for name, value in self._made_of().items()
        }
        others: dict[str, Any] = {name: value for name, value in new.items() if value != getattr(self, name)}
        return replace(self, **others) if others else self

    def _made_of(self) -> dict[str, Attack | tuple[Attack, ...]]:
        """The parameters that hold attacks, one or several, and not None or something else that they may be."""
        names = [name for name, parameter in parameters(type(self)).items() if parameter.kind is Attack]
        return {name: getattr(self, name) for name in names if isinstance(getattr(self, name), Attack | tuple)}

    def spelled(self, given: Mapping[str, Any] | None = None) -> str:
        """As `Part.spelled`. Where nothing is given its own seed is, or the first of those inside."""
        return super().spelled({"seed": self._seed()} if given is None else given)

    @property
    def stage(self) -> str:
        """What a person who waits is told that a run is at."""
        return self.spelled()

    def _seed(self) -> int | None:
        own: int | None = getattr(self, "seed", None)
        return own if own is not None else next((one._seed() for one in self.inside()), None)

    def rows(self) -> int:
        """How many rows one picture fills in a batch of the network."""
        return 1

    def together(self, rows: int) -> int:
        """How many pictures are scored together where the network takes so many rows at once."""
        return max(1, rows // self.rows())

    def missing(self, given: Sequence[str] = ()) -> list[Need]:
        """Needs that are neither given nor met by a parameter."""
        return [need for need in self.needs if need not in given and getattr(self, need, None) is None]

    def require(self, given: Sequence[str] = ()) -> None:
        """Raises UserError, with what to do, for the first need that is `missing`."""
        for need in self.missing(given):
            raise UserError(f"{self.name} needs {REMEDIES.get(need, need)}")

    def check(self, target: Target) -> None:
        """Raises UserError when the target, or what lies beside it, lacks what the attack needs; evaluates nothing."""
        if not (target.predicts or self.black_box):
            raise UserError(
                f"{self.name} asks the network itself, and {target.identity.name} only varies pictures: take rediffuse"
            )
        self.require(HAVE)
        if "gradients" in self.needs and not target.differentiable:
            raise UserError(
                f"{self.name} differentiates the network, and the answers of {target.identity.name} have no gradients: "
                "bring a network that PyTorch can differentiate (no torch.no_grad, no NumPy), or leave it out"
            )
        if "captions" in self.needs and target.conditioning != "caption":
            raise UserError(f"{self.name} needs {REMEDIES['captions']}")
        for field in fields(self):
            helper = getattr(self, field.name)
            if isinstance(helper, Shadows | Reference):
                helper.check(target)
