"""Stage 5: how alike original and restoration are: encoders with cosine similarity, pixel error, SSIM, pooling."""

from trainedon.compare.efficientnet import EfficientNetLite0
from trainedon.compare.own import Own
from trainedon.compare.pixelwise import Pixel, Ssim
from trainedon.compare.pooling import POOLINGS, check_pooling, pool
from trainedon.compare.scope import SCOPES
from trainedon.compare.sface import SFace
from trainedon.compare.similarity import Encoder, Ensemble, Similarity
from trainedon.compare.transformer import Clip, DinoV2

__all__ = [
    "POOLINGS",
    "SCOPES",
    "Clip",
    "DinoV2",
    "EfficientNetLite0",
    "Encoder",
    "Ensemble",
    "Own",
    "Pixel",
    "SFace",
    "Similarity",
    "Ssim",
    "check_pooling",
    "pool",
]
