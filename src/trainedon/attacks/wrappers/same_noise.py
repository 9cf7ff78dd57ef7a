"""Another attack, whose noise follows from a picture's name, so that copies of one picture meet the same noise."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import ClassVar

from trainedon.attacks.core.answers import Scored
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target

SALT = "trainedon/same-noise/name\x1f"
FURTHER = re.compile(r"~kept\d+(?=\.[^./]*$)")  # what tells further kept copies of twins from the published one


@register
@dataclass(frozen=True)
class SameNoise(Wrapper):
    """The attack's score, with noise that is keyed by the picture's name in place of its digest: common random numbers.
    Copies of a picture that have one name in several folders, as twins have, meet the same noise, and their scores
    differ by the copies alone. A picture without a name keeps its digest. Refused for attacks with models beside the
    audited one, which know pictures by their digests.
    """

    attack: Attack

    name: ClassVar[str] = "same-noise"
    title: ClassVar[str] = "The same noise for copies of one name"
    paper: ClassVar[str] = "common random numbers"

    def __post_init__(self) -> None:
        if not {"shadows", "reference"}.isdisjoint(self.attack.needs) or self.attack.learns:
            raise UserError(f"{self.name}: {self.attack.name} needs more than the audited model: leave it out")

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        if batch.names is not None:
            batch = replace(batch, sha256=tuple(map(_key, batch.names)))
        return run_batch(self.attack, target, batch)


def _key(name: str) -> str:
    return hashlib.sha256((SALT + FURTHER.sub("", name)).encode("utf-8", "surrogateescape")).hexdigest()
