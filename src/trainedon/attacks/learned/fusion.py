"""Several attacks made one, from what they say of pictures whose membership is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trainedon.attacks.core.answers import Cost, Progress, Scored, silent, total
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.crossfit import TOO_FEW, Predict, crossfit, robust_scaling
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.single.pia import PIA
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


def _unlike() -> tuple[Attack, ...]:
    """Attacks that look at a picture in unlike ways, so that each knows what the other does not."""
    return DRC2(), PIA()


class Fusion(Attack):
    """The attacks in the field `attacks`: it needs what they need, and its own. It observes their scores (n, k)."""

    attacks: tuple[Attack, ...]
    also_needs: ClassVar[tuple[Need, ...]] = ()

    def __post_init__(self) -> None:
        if len(self.attacks) < 2:
            raise UserError(f"{self.name}: name two attacks or more, such as {self.name}(drc, pia)")
        for attack in self.attacks:
            if attack.learns:  # its scores were learnt from the very sets that cross-fitting has to keep apart
                raise UserError(f"{self.name}: {attack.name} learns from the other pictures itself: leave it out")

    @property
    def needs(self) -> tuple[Need, ...]:
        return tuple(dict.fromkeys([need for attack in self.attacks for need in attack.needs] + [*self.also_needs]))

    @property
    def unscored(self) -> str:
        inner = dict.fromkeys(attack.unscored for attack in self.attacks)
        return " or ".join([*inner, TOO_FEW])

    def missing(self, given: Sequence[str] = ()) -> list[Need]:
        inner = [need for attack in self.attacks for need in attack.missing(given)]
        return inner + [need for need in self.also_needs if need not in given]

    def check(self, target: Target) -> None:
        super().check(target)
        for attack in self.attacks:
            attack.check(target)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        for attack in self.attacks:
            attack.prepare(target, progress)

    def rows(self) -> int:
        return max(attack.rows() for attack in self.attacks)

    def cost(self, target: Target) -> Cost:
        return total(attack.cost(target) for attack in self.attacks)

    @property
    def observes(self) -> tuple[Attack, ...]:
        return self.attacks

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        """For attacks around this one, whose pictures and models go under the names of others: nothing is shared."""
        return Scored(np.stack([run_batch(attack, target, batch).scores for attack in self.attacks], axis=1))

    @staticmethod
    @abstractmethod
    def fit(known: np.ndarray, member: np.ndarray) -> Predict:
        """What is learnt from the scores of known pictures, (m, k), and whether each is a member, bool (m,)."""


@register
@dataclass(frozen=True)
class RankAverage(Fusion):
    """Mean over the attacks of the share of unseen pictures that score lower (ties half), those of other folds.

    Needs no members: that an attack's score is higher for members is all that it takes for granted.
    """

    attacks: tuple[Attack, ...] = field(default_factory=_unlike)

    name: ClassVar[str] = "rank-average"
    title: ClassVar[str] = "Mean rank of several attacks"
    paper: ClassVar[str] = "rank fusion"
    also_needs: ClassVar[tuple[Need, ...]] = ("unseen",)

    @staticmethod
    def fit(known: np.ndarray, member: np.ndarray) -> Predict:
        columns = np.sort(known, axis=0).T  # (k, m)

        def predict(scores: np.ndarray) -> np.ndarray:
            shares = [
                (np.searchsorted(column, score, "left") + np.searchsorted(column, score, "right")) / (2 * len(column))
                for column, score in zip(columns, scores.T, strict=True)
            ]
            mean: np.ndarray = np.mean(shares, axis=0)
            return mean

        return predict

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, known=("unseen",))


@register
@dataclass(frozen=True)
class Logistic(Fusion):
    """Log-odds of membership, by logistic regression with an L2 penalty on the attacks' scores, robustly scaled.

    Both sets weigh the same in it, whatever their sizes.
    """

    attacks: tuple[Attack, ...] = field(default_factory=_unlike)

    name: ClassVar[str] = "logistic"
    title: ClassVar[str] = "Logistic regression on several attacks"
    paper: ClassVar[str] = "logistic regression"
    also_needs: ClassVar[tuple[Need, ...]] = ("labels",)

    @staticmethod
    def fit(known: np.ndarray, member: np.ndarray) -> Predict:
        from sklearn.linear_model import LogisticRegression

        level = robust_scaling(known)
        regression = LogisticRegression(class_weight="balanced", max_iter=1000).fit(level(known), member)
        return lambda scores: regression.decision_function(level(scores))

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, least=2)
