"""Was this diffusion model trained on this picture?

import trainedon as to

audit = to.audit("path/or/hub-id", "suspects", unseen="unseen")
print(audit.claim.level, audit.claim.sentence)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainedon import compare, evidence, restore
    from trainedon.api import (
        Choices,
        Machine,
        Reading,
        audit,
        compare_runs,
        convert,
        demo,
        draw,
        evaluate,
        judge,
        peaks,
        plan,
        report,
        seal,
        sweep,
        train,
        train_shadows,
        twins,
        verify,
    )
    from trainedon.api.results import AuditRun, EvaluationRun, PeaksRun, SweepRun
    from trainedon.attacks import DRC, Attack, Loss, parse_attacks, register
    from trainedon.attacks.core.answers import Progress
    from trainedon.attacks.drc.drc_2 import DRC2
    from trainedon.attacks.drc.drc_fast import DRCFast
    from trainedon.attacks.drc.drc_hide import DRCHide
    from trainedon.attacks.drc.drc_latent import DRCLatent
    from trainedon.attacks.drc.drc_paint import DRCPaint
    from trainedon.attacks.drc.drc_paint_2 import DRCPaint2
    from trainedon.attacks.drc.drc_paper import DRCPaper
    from trainedon.condition import Captions, Classes
    from trainedon.degrade import degradation, roi
    from trainedon.errors import PictureError, UserError
    from trainedon.evidence import Draw, LimitAnswer, Scores, Twins, read_scores
    from trainedon.evidence.studies.before_after import Comparison
    from trainedon.pictures import Batch, load_pictures, scan
    from trainedon.planning.forecast import Estimate
    from trainedon.runs.checking.verify import Check
    from trainedon.targets import Service, Target, from_edm, from_guided_diffusion, from_lucidrains, load_target
    from trainedon.training import Manifest, Recipe, recipe_of

    __version__: str

# Where each name is; imported on first use, so that `import trainedon` and `trainedon --help` stay quick.
_HOMES = {
    "api": "Choices Machine Reading audit compare_runs convert demo draw evaluate judge peaks plan report seal sweep "
    "train train_shadows twins verify",
    "api.results": "AuditRun EvaluationRun PeaksRun SweepRun",
    "attacks": "DRC Attack Loss parse_attacks register",
    "attacks.core.answers": "Progress",
    "attacks.drc.drc_2": "DRC2",
    "attacks.drc.drc_fast": "DRCFast",
    "attacks.drc.drc_hide": "DRCHide",
    "attacks.drc.drc_latent": "DRCLatent",
    "attacks.drc.drc_paint": "DRCPaint",
    "attacks.drc.drc_paint_2": "DRCPaint2",
    "attacks.drc.drc_paper": "DRCPaper",
    "condition": "Captions Classes",
    "degrade": "degradation roi",
    "errors": "PictureError UserError",
    "evidence": "Draw LimitAnswer Scores Twins read_scores",
    "evidence.studies.before_after": "Comparison",
    "pictures": "Batch load_pictures scan",
    "planning.forecast": "Estimate",
    "runs.checking.verify": "Check",
    "targets": "Service Target from_edm from_guided_diffusion from_lucidrains load_target",
    "training": "Manifest Recipe recipe_of",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_ROOMS = ("compare", "evidence", "restore")

__all__ = [
    "DRC",
    "DRC2",
    "Attack",
    "AuditRun",
    "Batch",
    "Captions",
    "Check",
    "Choices",
    "Classes",
    "Comparison",
    "DRCFast",
    "DRCHide",
    "DRCLatent",
    "DRCPaint",
    "DRCPaint2",
    "DRCPaper",
    "Draw",
    "Estimate",
    "EvaluationRun",
    "LimitAnswer",
    "Loss",
    "Machine",
    "Manifest",
    "PeaksRun",
    "PictureError",
    "Progress",
    "Reading",
    "Recipe",
    "Scores",
    "Service",
    "SweepRun",
    "Target",
    "Twins",
    "UserError",
    "__version__",
    "audit",
    "compare",
    "compare_runs",
    "convert",
    "degradation",
    "demo",
    "draw",
    "evaluate",
    "evidence",
    "from_edm",
    "from_guided_diffusion",
    "from_lucidrains",
    "judge",
    "load_pictures",
    "load_target",
    "parse_attacks",
    "peaks",
    "plan",
    "read_scores",
    "recipe_of",
    "register",
    "report",
    "restore",
    "roi",
    "scan",
    "seal",
    "sweep",
    "train",
    "train_shadows",
    "twins",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"trainedon.{_HOME[name]}"), name)
    if name in _ROOMS:
        return import_module(f"trainedon.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("trainedon")
    raise AttributeError(f"module 'trainedon' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
