"""What every attack is: pictures in, one number a picture out, higher = member."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


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
    """scores: float64 (n,), higher = member, NaN where there is none. exhibits: one a picture, or none at all."""

    scores: np.ndarray
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Network passes for one picture."""

    forward: int
    backward: int = 0


class Attack(ABC):
    """One attack with all its parameters, as a frozen dataclass: its `repr` names every one of them.

    A class declares what it is as data: `name` (as on the command line), `title`, `paper` (arXiv id or venue) and
    `needs` beyond the noise prediction (nothing, or of: gradients, labels, captions, shadows, reference, samples), and
    whether it `shows` exhibits.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    shows: ClassVar[bool] = False

    @abstractmethod
    def cost(self, target: Target) -> Cost:
        """Network passes a picture."""

    @abstractmethod
    def _score(self, target: Target, batch: Batch) -> torch.Tensor | Judged:
        """Scores of a batch that is valid and lies on the target's device: (n,)."""

    def rows(self) -> int:
        """How many rows one picture fills in a batch of the network."""
        return 1

    def check(self, target: Target) -> None:  # noqa: B027 (most need nothing)
        """Raises UserError when the target lacks what the attack needs; evaluates nothing."""

    def score(self, target: Target, pictures: Batch | torch.Tensor) -> np.ndarray:
        """One number a picture, float64 (n,), higher = member; NaN where the attack has no answer.

        pictures: a Batch, or float32 (n, c, h, w) in [-1, 1] at the target's size.
        """
        return self.judge(target, pictures).scores

    def judge(self, target: Target, pictures: Batch | torch.Tensor) -> Judged:
        """Scores, and what there is to show. Validates, moves to the device, and goes in chunks of `target.rows`."""
        batch = pictures if isinstance(pictures, Batch) else Batch.of(pictures)
        if tuple(batch.pixels.shape[1:]) != target.shape:
            raise UserError(
                f"the model takes pictures of {target.shape}, not {tuple(batch.pixels.shape[1:])}: fit them first"
            )
        if target.classes is not None and batch.labels is None:
            raise UserError(f"the model was trained with {target.classes} classes: give the pictures' class labels")
        labels = None if target.classes is None else batch.labels.to(target.device)  # others take none
        batch = replace(batch, pixels=batch.pixels.to(target.device), labels=labels)
        self.check(target)
        size = max(1, target.rows // self.rows())
        parts: list[Judged] = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            with torch.no_grad():
                answer = self._score(target, part)
            judged = answer if isinstance(answer, Judged) else Judged(answer.double().cpu().numpy())
            if judged.scores.shape != (len(part),):
                raise AssertionError(f"{self.name} answered {judged.scores.shape} for {len(part)} pictures")
            parts.append(judged)
        scores = np.concatenate([part.scores for part in parts]) if parts else np.empty(0)
        scores[~np.isfinite(scores)] = np.nan
        return Judged(scores, tuple(exhibit for part in parts for exhibit in part.exhibits))
