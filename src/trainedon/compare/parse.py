"""Similarities as the command line writes them."""

from __future__ import annotations

from trainedon.compare.efficientnet import EfficientNetLite0
from trainedon.compare.own import Own
from trainedon.compare.pixel import Pixel, Ssim
from trainedon.compare.sface import SFace
from trainedon.compare.similarity import Ensemble, Similarity
from trainedon.compare.transformer import Clip, DinoV2
from trainedon.errors import UserError

SIMILARITIES = (
    "own[:T[:LAYER]], efficientnet-lite0, sface, dinov2:FOLDER, clip:FOLDER, pixel, ssim, or several joined by +"
)
PLAIN = {kind.name: kind for kind in (EfficientNetLite0, SFace, Pixel, Ssim)}
SOURCED = {kind.name: kind for kind in (DinoV2, Clip)}


def parse_similarity(text: str, scope: str | None = None, *, check: bool = True) -> Similarity:
    """`own`, `own:200`, `sface`, `clip:FOLDER`, `own+pixel` ...; scope: of every part, None = each one's own default.

    Raises UserError that lists the choices, and, unless `check` is off, when a package that is needed is missing.
    """
    parts = [_parse_one(part, scope) for part in text.strip().split("+")]
    similarity = parts[0] if len(parts) == 1 else Ensemble(tuple(parts))
    if check:
        similarity.check()
    return similarity


def _parse_one(text: str, scope: str | None) -> Similarity:
    name, _, value = text.strip().partition(":")
    chosen = {} if scope is None else {"scope": scope}
    if name in PLAIN and not value:
        return PLAIN[name](**chosen)
    if name in SOURCED and value:
        return SOURCED[name](value, **chosen)
    if name == "own":
        t, _, layer = (value or str(Own.t)).partition(":")
        if t.isdecimal() and int(t) < 1000:
            return Own(layer=layer or None, t=int(t), **chosen)
    raise UserError(f"encoder {text!r} is not known: choose one of {SIMILARITIES}")
