"""One attack a file; `drc` joins degrade, restore and compare. Every module here is imported, and registers itself."""

from importlib import import_module
from pkgutil import walk_packages

from trainedon.attacks.core.answers import Cost, Exhibit, Progress, Reported, Scored
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.compared import Compared
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.core.registry import attacks, parse_attacks, register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.attacks.drc.drc import DRC
from trainedon.attacks.single.loss import Loss

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = [
    "DRC",
    "Attack",
    "Compared",
    "Cost",
    "Exhibit",
    "Loss",
    "Pool",
    "Progress",
    "Reported",
    "Scored",
    "Wrapper",
    "attacks",
    "parse_attacks",
    "register",
    "run_batch",
]
