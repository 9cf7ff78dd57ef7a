"""One attack a file; `drc` joins degrade, restore and compare. Every module here is imported, and registers itself."""

from importlib import import_module
from pkgutil import iter_modules

from trainedon.attacks.attack import Attack, Cost, Exhibit, Judged, Progress, Reported
from trainedon.attacks.drc import DRC
from trainedon.attacks.loss import Loss
from trainedon.attacks.registry import attacks, parse_attacks, register, short

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "DRC",
    "Attack",
    "Cost",
    "Exhibit",
    "Judged",
    "Loss",
    "Progress",
    "Reported",
    "attacks",
    "parse_attacks",
    "register",
    "short",
]
