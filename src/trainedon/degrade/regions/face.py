"""The region of the largest face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from trainedon.degrade import places
from trainedon.degrade.regions.region import NOTHING, Seen, Share
from trainedon.spec import register
from trainedon.vision.faces import check_face_package, find_faces

if TYPE_CHECKING:
    from trainedon.pictures import Batch


@register
@dataclass(frozen=True)
class Face(Share):
    """An ellipse over the largest face (YuNet), grown or shrunk to `ratio`; the centre where no face is found."""

    name: ClassVar[str] = "face"

    def check_installed(self) -> None:
        check_face_package()

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        middle = places.center(h, w, self.ratio)
        faces = find_faces(batch.pixels)
        masks = [middle if face is None else places.ellipse(h, w, face.box, self.ratio) for face in faces]
        return torch.stack(masks).to(batch.pixels.device)

    def notes(self, batch: Batch) -> tuple[str, ...]:
        missing = "no face was found, so the centre is hidden instead"
        return tuple(missing if face is None else "" for face in find_faces(batch.pixels))
