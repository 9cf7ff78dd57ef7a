"""What there is to see of a picture that was hidden in part and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from trainedon.attacks.core.answers import Exhibit
from trainedon.attacks.drc.comparison import as_pictures
from trainedon.attacks.drc.views import Found, Views
from trainedon.formats.null_view import NullView
from trainedon.targets import TRANSFORMATIONS


def exhibits(views: Views, found: Found, notes: Sequence[str]) -> tuple[Exhibit, ...]:
    """What there is to see of each picture, with a note each; of several degradations the first is shown as given."""
    batch, regions, restoring = views.batch, views.regions, views.restoring
    restored = as_pictures(views.target, batch, regions, found.restored)
    degraded = [restoring.degradations[0](batch, hidden, seed=restoring.seed) for hidden in regions]
    return tuple(
        exhibit(
            batch.pixels[i],
            [hidden[i] for hidden in regions],
            [given[i] for given in degraded],
            restored[i],
            found.similarities[i],
            note,
            restoring.degradations[0].known_tiles > 0,
        )
        for i, note in enumerate(notes)
    )


def exhibit(
    original: torch.Tensor,
    regions: Sequence[torch.Tensor],
    degraded: Sequence[torch.Tensor],
    restored: torch.Tensor,
    similarities: torch.Tensor,
    note: str,
    mosaic: bool,
) -> Exhibit:
    """The evidence of one picture. The first region's pictures have plain names, those of others end in its number;
    a region that is the whole picture is not shown.

    original, each of degraded: float32 (c, h, w) in [-1, 1]. regions: bool (h, w) each, True = hidden. restored:
    float32 (regions, restorations, c, h, w). similarities: float64 (regions, restorations). mosaic: whether what is
    hidden became one.
    """
    pictures = {"original": original}
    for k, (hidden, given) in enumerate(zip(regions, degraded, strict=True), start=1):
        suffix = "" if k == 1 else f"-{k}"
        if not hidden.all():
            pictures[f"region{suffix}"] = hidden.float().mul(2).sub(1).expand(original.shape)
        pictures[f"degraded{suffix}"] = given
    every = restored.flatten(0, 1)  # (regions * restorations, c, h, w)
    pictures |= {f"restored-{k}": picture for k, picture in enumerate(every, start=1)}
    pictures["difference"] = (every - original).abs().amax(0).sub(1).clamp(-1, 1)
    seen = {name: pixels.cpu() for name, pixels in pictures.items()}
    return Exhibit(seen, tuple(similarities.flatten().tolist()), note, mosaic=mosaic and "region" not in seen)


def beside_view(here: Sequence[Exhibit], there: Sequence[Exhibit], view: NullView) -> tuple[Exhibit, ...]:
    """What there is to see of each picture, with the same of its view beside it. there: of the model conjugated by it,
    whose answers are moved back."""
    move = TRANSFORMATIONS[view].move
    return tuple(
        replace(
            one,
            pictures=one.pictures
            | {"view": move(one.pictures["original"]), "viewback": move(other.pictures["restored-1"])},
        )
        for one, other in zip(here, there, strict=True)
    )


def turned_back(here: Sequence[Exhibit], there: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
    """What there is to see of each picture, with what was painted of its view, moved back. there: of the model
    conjugated by it."""
    return tuple(
        replace(one, pictures=one.pictures | {"viewpainted": other.pictures["restored-1"]})
        for one, other in zip(here, there, strict=True)
    )
