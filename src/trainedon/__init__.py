"""Was this diffusion model trained on this picture?

import trainedon as to

target = to.load_target("path/or/hub-id")
attack = to.DRC()  # or to.DRCHide(roi=to.roi.Attention(ratio=0.25), steps=20, restorations=4, encoder="own")
pictures = to.load_pictures("folder", target)
scores = attack.score(target, pictures)  # float64 (n,), higher = member
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# name -> where it is; imported on first use, so that `import trainedon` and `trainedon --help` stay quick
_PUBLIC = {
    "Attack": "attacks",
    "DRC": "attacks",
    "DRCFast": "attacks.drc.drc_fast",
    "DRCHide": "attacks.drc.drc_hide",
    "DRCLatent": "attacks.drc.drc_latent",
    "DRCPaper": "attacks.drc.drc_paper",
    "Loss": "attacks",
    "attacks": "attacks",
    "parse_attacks": "attacks",
    "register": "attacks",
    "Batch": "pictures",
    "load_pictures": "pictures",
    "scan": "pictures",
    "Service": "targets",
    "Target": "targets",
    "load_target": "targets",
    "UserError": "errors",
    "PictureError": "errors",
    "read_scores": "evidence",
}
_MODULES = {"roi": "degrade.roi", "degradation": "degrade.degradation", "restore": "restore", "compare": "compare"}
__all__ = ["roi", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"trainedon.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return import_module(f"trainedon.{_MODULES[name]}")
    raise AttributeError(f"module 'trainedon' has no attribute {name!r}")
