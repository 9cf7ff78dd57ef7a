"""What a person can see where whole pictures were noised: the model's guess, and where it is better than in a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch.nn import functional as F

from trainedon.attacks.core.answers import Exhibit, Scored
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.drc.drc import DRC
from trainedon.attacks.drc.views import InView, Views
from trainedon.compare.pooling import SMALLEST_DISTANCE
from trainedon.degrade.places import smooth
from trainedon.pictures import Batch
from trainedon.targets import Target

SMOOTHED = 12  # a map is smoothed by the longer side over this: errors of single pixels are chance
FULL = math.log(1.5)  # a place has its full colour where the error is half as large again in the other views
# Orange and purple, which differ for every kind of colour vision; neither is good or bad. RGB in [-1, 1].
NEUTRAL, AHEAD, BEHIND = (0.9, 0.9, 0.9), (0.8, -0.24, -0.99), (-0.26, -0.53, 0.2)


@dataclass(frozen=True)
class Guessing(DRC):
    """`drc`, showing what it scores.

    Its exhibits hold `guess`, what the model makes of the picture at the level with the most noise, the mean of all
    draws; `viewguess`, the same of its first view, turned back; and `ahead`, where it guesses better than in its views.
    """

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        views = self.views(target, batch)
        drawn = views.drawn()
        found = [(asked, views.under(asked, drawn)) for asked in views.asked]
        scores = views.relative(batch, found[0][1].scores, [one.scores for _, one in found[1:]])
        seen = [
            (asked, one.restored) for number, (asked, one) in enumerate(found) if number == 0 or _back(target, asked)
        ]
        if len(seen) == 1:
            return Scored(scores)
        guesses = [self._guess(asked.model, restored) for asked, restored in seen[:2]]
        ahead = _ahead(views, seen)
        return Scored(scores, tuple(_exhibit(*each) for each in zip(batch.pixels, *guesses, ahead, strict=True)))

    def _guess(self, model: Target, restored: torch.Tensor) -> torch.Tensor:
        """Pictures, float32 (n, c, h, w), of restorations (n, 1, r, ...)."""
        starts = [one.start(model.path) for one in self.degradation]
        first = starts.index(max(starts)) * self.restorations
        return model.decode(restored[:, 0, first : first + self.restorations].mean(1)).clamp(-1, 1)


def guessing(attack: Attack) -> Guessing | None:
    """The attack as one that shows what it scores; None where it noises no whole pictures, or in no views. In views
    that are not turned back there is nothing to lay over the picture, and no exhibit.

    It takes as many passes as the attack, all restorations of every picture.
    """
    if not isinstance(attack, DRC) or attack.shown_as != "noised" or not attack.symmetries or len(attack.roi.parts) > 1:
        return None
    given = {field.name: getattr(attack, field.name) for field in fields(attack)}
    return Guessing(**given | {"settle": 0.0, "pivot": 0.0})


def beside_guesses(shown: Sequence[Exhibit], guesses: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
    """What there is to see of each picture, with the guesses about it, if there are any."""
    if not guesses:
        return tuple(shown)
    return tuple(
        replace(one, pictures=one.pictures | guess.pictures, ahead=guess.ahead)
        for one, guess in zip(shown, guesses, strict=True)
    )


def _back(target: Target, asked: InView) -> bool:
    """Whether what comes of a view is turned back: where noise moves along, and the model is conjugated."""
    return asked.model is not target


def _ahead(views: Views, seen: Sequence[tuple[InView, torch.Tensor]]) -> torch.Tensor:
    """How much smaller the error is than in the other views, place by place: the log of their ratio, the mean over
    levels and views, float32 (n, h, w) at the picture's size.

    seen: with what was asked, the picture first, what came of it, float32 (n, 1, levels * draws, c, h, w).
    """
    here, *there = [_log_errors(views, *each) for each in seen]
    ahead = torch.stack(there).mean(0) - here
    return F.interpolate(ahead[:, None], views.target.picture[1:], mode="bilinear")[:, 0]


def _log_errors(views: Views, asked: InView, restored: torch.Tensor) -> torch.Tensor:
    """Log of the squared error, smoothed, the mean over draws: float32 (n, h, w) at the size of the states."""
    levels = len(views.restoring.degradations)
    original = asked.model.encode(asked.batch.pixels)
    errors = (restored[:, 0] - original[:, None]).square().mean(2)  # (n, levels * draws, h, w)
    errors = errors.unflatten(1, (levels, -1)).mean(2)
    return smooth(errors, max(errors.shape[2:]) / SMOOTHED).clamp(min=SMALLEST_DISTANCE).log().mean(1)


def _exhibit(original: torch.Tensor, guess: torch.Tensor, turned: torch.Tensor, ahead: torch.Tensor) -> Exhibit:
    """original, guess, turned: float32 (c, h, w) in [-1, 1]. ahead: float32 (h, w)."""
    pictures = {"original": original, "guess": guess, "viewguess": turned, "ahead": _coloured(ahead)}
    sign = ahead.round(decimals=4).sign().cpu().double()  # 0 where neither is better, which counts as half a place
    return Exhibit({name: pixels.cpu() for name, pixels in pictures.items()}, ahead=float((sign.mean() + 1) / 2))


def _coloured(ahead: torch.Tensor) -> torch.Tensor:
    """float32 (h, w) -> (3, h, w) in [-1, 1]."""
    strength = (ahead / FULL).clamp(-1, 1)[None]
    neutral, high, low = (ahead.new_tensor(colour)[:, None, None] for colour in (NEUTRAL, AHEAD, BEHIND))
    return neutral + strength.clamp(min=0) * (high - neutral) - strength.clamp(max=0) * (low - neutral)
