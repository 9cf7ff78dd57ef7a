"""SFace (Zhong et al., arXiv 2205.12010), an encoder for faces, through OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from trainedon.compare.similarity import Encoder
from trainedon.spec import register
from trainedon.vision.faces import check_face_package, find_faces, model_file, to_bgr

if TYPE_CHECKING:
    from trainedon.condition import Condition
    from trainedon.targets import Target

RECOGNISER = (
    "face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
SIDE = 112


@register
@dataclass(frozen=True)
class SFace(Encoder):
    """Who is on the picture: 128 numbers of the largest face, turned upright by its eyes, nose and mouth (YuNet).

    Where no face is found, the whole picture is taken for one. The encoder has no map of places, so it compares
    pictures or crops, not regions. It runs on the CPU.
    """

    scope: str = "picture"
    name: ClassVar[str] = "sface"
    scopes: ClassVar[tuple[str, ...]] = ("picture", "crop")

    def check_installed(self) -> None:
        check_face_package()

    def features(self, target: Target, pixels: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(n, 128)"""
        check_face_package()
        import cv2

        recogniser = _recogniser()
        vectors = []
        for picture, face in zip(to_bgr(pixels), find_faces(pixels), strict=True):
            if face is None:
                aligned = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            else:
                aligned = recogniser.alignCrop(picture, face.row())
            vectors.append(recogniser.feature(aligned)[0].copy())
        return torch.from_numpy(np.stack(vectors)).to(pixels.device)


@lru_cache(maxsize=1)
def _recogniser() -> Any:
    import cv2

    return cv2.FaceRecognizerSF.create(str(model_file(*RECOGNISER)), "")
