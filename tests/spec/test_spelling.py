"""What a part is spelled as is read back as the same part: of every part that there is, whatever its parameters."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest

from trainedon.attacks import DRC, Attack, Loss, parse_attacks
from trainedon.attacks.core.attack import Need
from trainedon.attacks.single.pia import PIA
from trainedon.attacks.wrappers.flip import Flip
from trainedon.attacks.wrappers.timesteps import Timesteps
from trainedon.compare import Ensemble, Own, Pixel, Similarity
from trainedon.degrade import Blur, Center, Degradation, Diffuse, Hide, Inverted, MaskFolder, Random, Roi, Several
from trainedon.errors import UserError
from trainedon.restore import Guided, Restorer
from trainedon.spec import Noun, Parameter, Part, parameters
from trainedon.spec.parameters import alternatives

# Words that some part takes; and texts that would be cut up, or read as something else, if they were written bare.
WORDS = (
    "png",
    "crop",
    "picture",
    "mean",
    "median",
    "mean-log",
    "offline",
    "shuffled",
    "half-turn",
    "ssim",
    "l2",
    "smooth",
    "mirror",
    "x/y",
)
ODD = (
    'it\'s (one, two); "three" = 4+5: a\\b',
    "",
    " edge ",
    "none",
    "None",
    "5",
    "+1",
    "-2.5",
    "true",
    "a:b",
    "'q'",
    "\n",
)
VALUES = {
    bool: (True, False),
    int: (0, 1, 2, 3, 8, 100),
    float: (0.1, 0.5, 1.0, 2.0, 1e-05, 1e16),
    str: (*WORDS, *ODD),
    Path: (Path("a, b"),),
    NoneType: (None,),
    Attack: (
        Loss(t=50, seed=3),
        PIA(t=50),
        Flip(Timesteps(Loss(draws=2, seed=4), t=(100, 200))),
        DRC(
            roi=Inverted(Several((Center(0.1), Center(0.2)))), encoder=Own(layer="a:b"), symmetries=("mirror",), seed=9
        ),
    ),
    Roi: (Random(0.3, seed=2), Several((Center(0.25),)), Several((MaskFolder("a+b"), Center(), Inverted(Center())))),
    Degradation: (Hide(), Diffuse(50), Diffuse(100), Blur(1e-16), Blur(2.0)),
    Restorer: (Guided(scale=2.0, until=0.5),),
    Similarity: (Own(t=200), Ensemble((Ensemble((Own(), Pixel())), Own("x:y", 200, "crop"), Own(t=50)))),
}
# Some parameters say something only beside others.
BESIDES = {
    "pivot": ({"settle": 2.0, "restorations": 8, "pooling": "mean", "degradation": (Hide(),)},),
    "settle": ({"restorations": 8, "pooling": "mean", "degradation": (Hide(),)},),
    "t": ({"k": 1},),
    "restorations": ({"degradation": (Hide(),)},),
}


def every(noun: Noun) -> list[type[Part]]:
    return [maker for maker in noun.registered().values() if isinstance(maker, type)]


def values(parameter: Parameter) -> list[object]:
    found: list[object] = []
    for hint in alternatives(parameter.hint):
        if parameter.many or hasattr(hint, "__args__"):
            of = VALUES.get(parameter.kind, ())
            found += [(), *itertools.combinations(of, 1), *itertools.permutations(of, 2), of]
        else:
            found += VALUES.get(hint, ())
    return found


def made(kind: type[Part], **given: object) -> Part | None:
    """The part with these parameters, and any that it takes for those that must be given. None where it takes none."""
    others = {name: values(one) for name, one in parameters(kind).items() if one.required and name not in given}
    for several in itertools.product(*others.values()):
        try:
            part = kind(**given, **dict(zip(others, several, strict=True)))
            part.check_installed()
        except UserError:
            continue
        return part
    return None


def changed(kind: type[Part], name: str) -> Iterator[Part]:
    """Parts that have another value than by default for one parameter, with what allows for it."""
    for besides in ({}, *BESIDES.get(name, ())):
        besides = {key: value for key, value in besides.items() if key in parameters(kind)}
        usual = made(kind, **besides)
        for value in values(parameters(kind)[name]):
            part = made(kind, **{**besides, name: value})
            if part is not None and part != usual:
                yield part


def seed_of(attack: Attack) -> int | None:
    inside = attack.inside()
    return getattr(attack, "seed", seed_of(inside[0]) if inside else None)


def parts() -> list[tuple[type[Part], str]]:
    kinds = [kind for base in (Attack, Roi, Degradation, Restorer, Similarity) for kind in every(base.noun)]
    return [(kind, name) for kind in kinds for name, one in parameters(kind).items() if not one.is_opened]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where every folder of masks that is named exists."""
    monkeypatch.chdir(tmp_path)
    for name in {"a+b", *WORDS, *ODD} - {""}:
        Path(name.replace("/", "")).mkdir(exist_ok=True)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("kind", "name"), parts(), ids=lambda one: one if isinstance(one, str) else one.name)
def test_every_parameter_of_every_part_is_read_back(kind, name):
    different = [*changed(kind, name)]
    assert different, "no value was tried"
    for part in different:
        for given in ({}, {"seed": 4}):
            assert kind.noun.read(part.spelled(given), given) == part, part.spelled(given)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("kind", every(Attack.noun), ids=lambda kind: kind.name)
def test_an_attack_with_all_its_parameters_changed_is_read_back_with_its_seed(kind):
    attack = made(kind)
    for name, one in parameters(kind).items():
        for value in values(one):
            try:
                attack = replace(attack, **{name: value})
            except UserError:
                continue
    for text, seed in ((attack.spelled(), seed_of(attack)), (attack.spelled({"seed": 11}), 11)):
        assert parse_attacks(text, get_args(Need), seed=seed) == [attack], text
