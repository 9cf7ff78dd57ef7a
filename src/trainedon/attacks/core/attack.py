"""What every attack is: pictures in, one number a picture out, higher = member."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import ClassVar, Literal

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import PAD, Reference, Shadows, Target
from trainedon.targets.asking import ran_out

Progress = Callable[[str, float, int], None]  # what, done (a part of one counts as that), of how many
ShownAs = Literal["hidden", "noised"]
RelativeTo = Literal["self", "reference"]
# Needs that are met, or seen to by `Attack.check` and `conclude`, where nothing has to be given for them.
HAVE = ("gradients", "unseen", "labels", "captions")
REMEDIES = {
    "labels": "pictures whose membership is known, which `trainedon evaluate` has and an audit has not",
    "unseen": "unseen pictures: give --unseen DIR",
    "shadows": "shadow models: give --shadows DIR, which `trainedon train PICTURES --shadows 8 --out DIR` makes",
    "reference": "a reference model, which never saw the pictures: give --reference MODEL",
    "captions": "a model that is asked by captions, and this one is not: leave it out, or audit a text-to-image model",
}
NO_ROOM = "close other programs, or take a machine or a device with more memory"


@dataclass(frozen=True)
class Exhibit:
    """What an attack can show of one picture.

    pictures: name -> float32 (c, h, w) in [-1, 1], in the order in which they are to be seen.
    similarities: one a restoration, higher = more alike. note: what a reader should know, mostly empty.
    """

    pictures: dict[str, torch.Tensor]
    similarities: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Judged:
    """scores: float64 (n,), higher = member, NaN where there is none; of an attack that learns (n, d), what it learns
    from. exhibits: one a picture, or none at all."""

    scores: np.ndarray
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Network passes for one picture, those of shadow and reference models among them; `setup`: forward passes once
    for each audited model, however many pictures there are."""

    forward: int
    backward: int = 0
    setup: int = 0


def total(costs: Iterable[Cost]) -> Cost:
    """What several attacks cost together."""
    return Cost(*(sum(parts) for parts in zip(*map(astuple, costs), strict=True)))


@dataclass(frozen=True)
class Reported:
    """What a paper prints, as shares in [0, 1]. data: on which pictures. tpr_1: TPR at a FPR of 1 %."""

    data: str
    auc: float | None = None
    asr: float | None = None
    tpr_1: float | None = None
    note: str = ""


def silent(what: str, done: float, total: int) -> None:
    """Progress that nobody looks at."""


def _finite(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scores), scores, np.nan)


class Attack(ABC):
    """One attack with all its parameters, as a frozen dataclass: its `repr` names every one of them.

    A class declares what it is as data: `name` (as on the command line), `title`, `paper` (arXiv id or venue), `needs`
    beyond the noise prediction (gradients, unseen, labels, captions, shadows, reference), whether it `shows` exhibits,
    whether alone it `repeats` a question to the network, so that answers are worth keeping, whether it is content with
    a service that varies pictures (`black_box`), what its paper `reported`,
    and why a picture may be `unscored`. A need that is also a parameter (`shadows`,
    `reference`) is met when that parameter is given.

    shown_as: how the pictures that people are shown relate to those that are scored. `hidden`: they are the same, part
    of each hidden and restored. `noised`: scored is the whole picture, noised or faded, which comes back much as it
    was, so that a hidden centre is shown, which has no part in the score. None: neither.
    relative_to: what the score is the difference to: the audited model `self`, symmetry-conjugated; a `reference`
    model; None for a score that stands by itself.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    shows: ClassVar[bool] = False
    shown_as: ClassVar[ShownAs | None] = None
    relative_to: ClassVar[RelativeTo | None] = None
    repeats: ClassVar[bool] = True
    black_box: ClassVar[bool] = False
    reported: ClassVar[tuple[Reported, ...]] = ()
    unscored: ClassVar[str] = "the score is not a finite number"

    @abstractmethod
    def cost(self, target: Target) -> Cost:
        """Network passes a picture; of an attack without its shadow models as if it had one."""

    @abstractmethod
    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor | Judged:
        """Scores of a batch that is valid and lies on the target's device: (n,), or (n, d) of an attack that learns."""

    @property
    def learns(self) -> bool:
        """Whether a score also depends on which other pictures of the run are unseen, or members."""
        return not {"labels", "unseen"}.isdisjoint(self.needs)

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        """Scores (n,) of an attack that learns, from what `score_batch` said of all pictures of a run (n, d).

        sets: member, unseen or suspect. The set of a picture has no influence on its own score.
        """
        return observed

    def rows(self) -> int:
        """How many rows one picture fills in a batch of the network."""
        return 1

    def together(self, rows: int) -> int:
        """How many pictures are scored together where the network takes so many rows at once."""
        return max(1, rows // self.rows())

    def missing(self, given: Sequence[str] = ()) -> list[str]:
        """Needs that are neither given nor met by a parameter."""
        return [need for need in self.needs if need not in given and getattr(self, need, None) is None]

    def check(self, target: Target) -> None:
        """Raises UserError when the target, or what lies beside it, lacks what the attack needs; evaluates nothing."""
        if not (target.predicts or self.black_box):
            raise UserError(
                f"{self.name} asks the network itself, and {target.identity.name} only varies pictures: take rediffuse"
            )
        missing = self.missing(given=HAVE)
        if "captions" in self.needs and target.conditioning != "caption":
            missing.append("captions")
        if missing:
            raise UserError(f"{self.name} needs {REMEDIES[missing[0]]}")
        for field in fields(self):  # type: ignore[arg-type]
            helper = getattr(self, field.name)
            if isinstance(helper, Shadows | Reference):
                helper.check(target)

    def show(self, target: Target, batch: Batch) -> tuple[Exhibit, ...]:
        """What there is to see of these pictures, for an attack that `shows` and whose scores come without exhibits."""
        return ()

    def prepare(self, target: Target, progress: Progress = silent) -> None:  # noqa: B027 (most have nothing to do)
        """What is done once for each audited model, before the first picture. Doing it again costs nothing."""

    def score(self, target: Target, pictures: Batch | torch.Tensor, sets: Sequence[str] | None = None) -> np.ndarray:
        """One number a picture, float64 (n,), higher = member; NaN where the attack has no answer.

        pictures: a Batch, or float32 (n, c, h, w) in [-1, 1] at the target's size. sets: for an attack that learns,
        what each picture is: member, unseen or suspect.
        """
        batch = pictures if isinstance(pictures, Batch) else Batch.of(pictures)
        if self.learns and (sets is None or len(sets) != len(batch)):
            raise UserError(
                f"{self.name} learns from known pictures: say of each whether it is member, unseen or suspect"
            )
        observed = self.judge(target, batch).scores
        return self.conclude(observed, sets or [], batch.sha256) if self.learns else observed

    def judge(self, target: Target, pictures: Batch | torch.Tensor) -> Judged:
        """Scores, and what there is to show."""
        parts = list(self.judging(target, pictures))
        scores = np.concatenate([part.scores for part in parts]) if parts else np.empty(0)
        return Judged(scores, tuple(exhibit for part in parts for exhibit in part.exhibits))

    def judging(self, target: Target, pictures: Batch | torch.Tensor) -> Iterator[Judged]:
        """`judge`, part by part, in the order of the pictures. Validates, moves to the device, and goes in chunks of
        `target.rows`, smaller ones where such a chunk takes longer than what is done may go unkept."""
        batch = pictures if isinstance(pictures, Batch) else Batch.of(pictures)
        batch = self._valid(target, batch)
        self.check(target)
        self.prepare(target)
        scores: list[np.ndarray] = []
        with target.remembering(self._key(target, batch), lambda: np.concatenate(scores)) as timed:
            chunks = self._chunks(target, batch)
            while (judged := timed(lambda: next(chunks, None))) is not None:
                scores.append(judged.scores)
                yield judged

    def known(self, target: Target, batch: Batch) -> np.ndarray:
        """The scores of `judge`, without judging again what was judged while the target is `sharing`."""
        return target.shared(self._key(target, batch), lambda: self.judge(target, batch).scores)

    def _key(self, target: Target, batch: Batch) -> tuple:
        labels = None if batch.labels is None else tuple(batch.labels.tolist())
        return repr(self), target.identity.digest, batch.sha256, labels, batch.captions

    def _chunks(self, target: Target, batch: Batch) -> Iterator[Judged]:
        """Scores and exhibits: a chunk fills `target.rows` rows of the network.

        Where memory runs out, the rows are halved for good and the chunk is done again, and none before it. Raises
        UserError when there is not enough for a single picture.
        """
        start, most = 0, len(batch)
        while start < len(batch):
            part = batch[start : start + min(most, self._at_once(target))]
            judged = self._if_it_fits(target, part)
            if judged is None:
                if not target.shrink():
                    if len(part) == 1:
                        raise UserError(f"{self.name}: memory does not suffice for a single picture: {NO_ROOM}")
                    most = len(part) // 2
                continue
            start += len(part)
            yield judged if self.learns else replace(judged, scores=_finite(judged.scores))

    def _at_once(self, target: Target) -> int:
        """How many pictures make a chunk: where time is kept, at first and where they are slow as few as fill PAD rows,
        and no more than are done before something is to be kept."""
        pictures = self.together(target.rows)
        if not target.adapts:
            return pictures
        cost = self.cost(target)
        within = 0 if target.pace.seconds is None else target.pace.within(cost.forward + 2 * cost.backward)
        return int(max(self.together(PAD), min(pictures, within)))

    def _if_it_fits(self, target: Target, batch: Batch) -> Judged | None:
        """`observe`, or None when memory ran out; passes of what was not finished are not counted."""
        before = replace(target.evaluations)
        try:
            with torch.no_grad():
                return self.observe(target, batch)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
        vars(target.evaluations).update(vars(before))
        return None

    def observe(self, target: Target, batch: Batch) -> Judged:
        """`score_batch` of one chunk, its shape checked: for attacks that are made of others."""
        answer = self.score_batch(target, batch)
        judged = answer if isinstance(answer, Judged) else Judged(answer.cpu().double().numpy())
        if len(judged.scores) != len(batch) or judged.scores.ndim != 1 + self.learns:
            raise AssertionError(f"{self.name} answered {judged.scores.shape} for {len(batch)} pictures")
        return judged

    @staticmethod
    def _valid(target: Target, batch: Batch) -> Batch:
        if tuple(batch.pixels.shape[1:]) != target.picture:
            raise UserError(
                f"the model takes pictures of {target.picture}, not {tuple(batch.pixels.shape[1:])}: fit them first"
            )
        if target.classes is not None and batch.labels is None:
            raise UserError(f"the model was trained with {target.classes} classes: give the pictures' class labels")
        if target.conditioning == "caption":
            labels = target.numbers([caption or "" for caption in batch.captions or [""] * len(batch)])
        else:
            labels = batch.labels if target.classes is not None else None  # others take none
        labels = None if labels is None else labels.to(target.device)
        return replace(batch, pixels=batch.pixels.to(target.device), labels=labels)
