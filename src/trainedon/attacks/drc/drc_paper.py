"""Degrade-Restore-Compare as published: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.answers import Reported
from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.compare import EfficientNetLite0, Similarity
from trainedon.degrade import Attention, Degradation, Hide, Roi
from trainedon.restore import Join, Restorer


@register
@dataclass(frozen=True)
class DRCPaper(DRC):
    """DRC as its paper describes it: the region that draws most attention is hidden, restored by eq. 4 from noise, and
    compared by the cosine of semantic embeddings.

    What the paper leaves open is taken from the one port that is known (top 20 % of the attention, 50 steps). The
    encoder stands in for the paper's CLIP; on faces, `encoder=sface` for its face recognition.
    """

    roi: Roi = Attention(0.2)
    degradation: tuple[Degradation, ...] = (Hide(),)
    restorer: Restorer = Join()
    steps: int = 50
    restorations: int = 1
    encoder: Similarity = EfficientNetLite0()
    pooling: str = "mean"
    symmetries: tuple[str, ...] = ()

    name: ClassVar[str] = "drc-paper"
    paper: ClassVar[str] = "arXiv 2403.08487"
    title: ClassVar[str] = "Degrade-Restore-Compare as published"
    reported: ClassVar[tuple[Reported, ...]] = (
        Reported("cifar10", auc=0.931, tpr_1=0.122),
        Reported("cifar100", auc=0.919, tpr_1=0.166),
        Reported("celeba", auc=0.989, tpr_1=0.805),
    )
