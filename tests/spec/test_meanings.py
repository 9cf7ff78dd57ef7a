"""What parameters mean: said once, in the docstrings, and found there."""

from dataclasses import dataclass

import pytest

from trainedon.attacks import Attack, attacks, parse_attacks
from trainedon.cli.catalogue import card
from trainedon.errors import UserError
from trainedon.spec import meanings, parameters


@dataclass(frozen=True)
class Base:
    """A line that is none: it has a colon.

    width: how wide
    it is. height, depth: the same in other directions. Not depth, though.
    """

    width: int = 1
    height: int = 1


@dataclass(frozen=True)
class Derived(Base):
    """Other text, with `width: 2` in it.

    width: how wide this one is.
    """

    depth: int = 1
    seed: int = 0
    untold: int = 0


def test_what_a_docstring_says_of_a_parameter_is_found_and_the_nearest_counts():
    said = meanings(Derived)
    assert said["width"] == "how wide this one is."
    assert said["height"] == "the same in other directions. Not depth, though."
    assert "random" in said["seed"] and said.keys() == {"width", "height", "depth", "seed"}
    assert meanings(Base)["width"].startswith("how wide it is.")


@pytest.mark.parametrize("name", sorted(attacks()))
def test_every_parameter_of_every_attack_is_told(name):
    told = card(name)
    assert [one.name for one in told.parameters] == [*parameters(Attack.noun.find(name))]
    for one in told.parameters:
        assert one.means, one.name
        if one.example is None:
            continue
        try:
            (attack,) = parse_attacks(one.example, ("shadows", "reference", "unseen", "control", "labels", "captions"))
        except UserError as error:
            assert "needs" in str(error), "only for want of what a model or an option gives"
        else:
            assert attack.name == name
