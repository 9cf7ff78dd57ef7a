"""Another attack with other captions: a control, for what of its signal hangs on the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from trainedon.attacks.core.answers import Scored
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.condition import Captions
from trainedon.errors import UserError
from trainedon.formats.other_captions import CONTROLS
from trainedon.pictures import Batch
from trainedon.targets import Target

A = TypeVar("A", bound=Attack)

KINDS = (*CONTROLS, "none")  # the last one is no control, and made on request alone


@register
@dataclass(frozen=True)
class Recaptioned(Wrapper):
    """Score of the attack when the model is conditioned on other captions than the pictures' own.

    captions: `fixed`, one `text` for all; `shuffled`, for each picture the caption of another one, drawn from `pool` by
    the picture's digest, so that no neighbour has a say; `none`, the empty prompt. pool: a text file, one caption a
    line; the captions of the run when not given. text: the caption that `fixed` gives to all.
    """

    attack: Attack
    captions: str = "fixed"
    text: str = "a picture"
    pool: Pool | None = None
    seed: int = 0

    name: ClassVar[str] = "recaptioned"
    title: ClassVar[str] = "With other captions (control)"
    paper: ClassVar[str] = "after arXiv 2405.14800, 2406.16201"
    also_needs: ClassVar[tuple[Need, ...]] = ("captions",)

    def __post_init__(self) -> None:
        if self.captions not in KINDS:
            raise UserError(f"{self.name}: captions={self.captions!r}: choose one of {', '.join(KINDS)}")
        if not self.text.strip():
            raise UserError(f"{self.name}: text must say something; captions=none asks with the empty prompt")

    @property
    def stage(self) -> str:
        how = {"fixed": "one caption for all", "shuffled": "captions of others", "none": "no captions"}
        return f"control: {self.attack.spelled()} with {how[self.captions]}"

    @property
    def unscored(self) -> str:
        return f"{self.attack.unscored} or no other picture has another caption"

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        captions = self._changed(batch)
        condition = Captions(tuple(caption or "" for caption in captions))
        changed = replace(batch, captions=captions, condition=condition)
        scores = run_batch(self.attack, target, changed).scores.copy()
        scores[[caption is None for caption in captions]] = np.nan
        return Scored(scores)

    def _changed(self, batch: Batch) -> tuple[str | None, ...]:
        """The caption of each picture of the batch; None where there is no other one."""
        if self.captions != "shuffled":
            return ({"fixed": self.text, "none": ""}[self.captions],) * len(batch)
        if self.pool is None:
            raise UserError(f"{self.name}: shuffled captions come from a whole run: give pool=FILE, one caption a line")
        own = batch.captions or [None] * len(batch)
        return tuple(self.pool.other(caption, sha, self.seed) for caption, sha in zip(own, batch.sha256, strict=True))


def controls(target: Target, attacks: Sequence[Attack], pool: Pool) -> list[Recaptioned]:
    """The controls that a run of the attacks makes besides: none on a model that is not asked by captions, nor without
    two captions in the pool, nor of attacks that are controls themselves."""
    if target.conditioning != "caption" or len(pool.captions) < 2:
        return []
    plain = [attack for attack in attacks if not isinstance(attack, Recaptioned)]
    made = (with_pool(Recaptioned(attack, captions), pool) for attack in plain for captions in CONTROLS)
    return [control for control in made if control not in attacks]


def draws_captions(attack: Attack) -> bool:
    """Whether the attack, or one inside it, draws captions of the run."""
    own = isinstance(attack, Recaptioned) and attack.captions == "shuffled" and attack.pool is None
    return own or any(map(draws_captions, attack.inside()))


def with_pool(attack: A, pool: Pool) -> A:
    """The attack, those inside it too, with a pool wherever it `draws`."""
    if not draws_captions(attack):
        return attack
    given = attack.with_inside(lambda one: with_pool(one, pool))
    if isinstance(given, Recaptioned) and given.captions == "shuffled":
        return replace(given, pool=given.pool or pool)
    return given
