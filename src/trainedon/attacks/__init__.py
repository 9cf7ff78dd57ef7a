"""One attack a file; `drc` joins degrade, restore and compare."""

from trainedon.attacks.attack import Attack, Cost, Exhibit, Judged
from trainedon.attacks.drc import DRC
from trainedon.attacks.loss import Loss
from trainedon.attacks.registry import attacks, parse_attacks, register

__all__ = ["DRC", "Attack", "Cost", "Exhibit", "Judged", "Loss", "attacks", "parse_attacks", "register"]
