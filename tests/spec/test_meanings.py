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
        assert len(one.means.split()) > 2 and not one.means.startswith(("of the ", "those of ")), one.name
        assert (one.default, one.example) != ("DIR", None), "what an option gives has no default"
        if one.example is None:
            continue
        try:
            (attack,) = parse_attacks(one.example, ("shadows", "reference", "unseen", "control", "labels", "captions"))
        except UserError as error:
            assert "needs" in str(error), "only for want of what a model or an option gives"
        else:
            assert attack.name == name


def test_examples_give_another_value_than_the_default():
    told = {one.name: one.example for one in card("drc").parameters}
    assert (told["seed"], told["scope"], told["pooling"]) == tuple(
        f"drc@2({one})" for one in ("seed=1", "scope=region", "pooling=mean")
    )
    assert {one.name: one.example for one in card("lira").parameters}["form"] == "lira(form=offline)"


def test_values_and_unknown_names_are_refused_with_what_to_give():
    with pytest.raises(UserError, match="give the name alone, as in `trainedon attacks drc`"):
        card("drc(steps=3)")
    with pytest.raises(UserError, match=r"unknown attack 'nosuch': choose from .* drc, drc-fast"):
        card("nosuch")


def test_a_group_says_which_attacks_it_stands_for():
    with pytest.raises(UserError, match=r"tested together: drc@2\(symmetries=mirror, restorations=6\), drc@2"):
        card("drc-set")
