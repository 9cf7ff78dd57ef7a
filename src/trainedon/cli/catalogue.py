"""What attacks there are, as a table: generated from what each one declares."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

import torch
from torch import nn

from trainedon.attacks.core.answers import Reported
from trainedon.attacks.core.attack import GROUPS, Attack
from trainedon.attacks.core.registry import attacks, superseded
from trainedon.attacks.single.loss import Loss
from trainedon.errors import UserError
from trainedon.spec import Parameter, described, meanings, parameters, spelled
from trainedon.targets import Identity, NoisePath, Target
from trainedon.targets.networks.unet import PixelUNet

HEADS = ("attack", "what it is", "paper", "needs", "parameters", "passes a picture", "reported")


@dataclass(frozen=True)
class CatalogueRow:
    """One attack, as text."""

    name: str
    title: str
    paper: str
    needs: str
    parameters: str
    passes: str
    reported: str


def listing() -> list[CatalogueRow]:
    """All attacks in the order of their names, but for those of other packages that fail when they are asked."""
    target, rows = _example(), []
    for name, kind in attacks().items():
        try:
            rows.append(_row(kind, target))
        except Exception as error:
            if kind.__module__.startswith("trainedon."):
                raise
            Attack.noun.leave_out(name, error)
    return rows


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of an attack. means: what it is. default: as one would type it; None where it must be given, or
    an option of the command gives it. choices: what may stand there; None where it is not one of a few. example: as one
    would type it, mostly with another value than the default; None where an option of the command gives it."""

    name: str
    takes: str
    means: str
    default: str | None
    choices: list[str] | None
    example: str | None


@dataclass(frozen=True)
class AttackCard:
    """All that one attack declares. about: what it computes, with its formula. takes: its parameters. works_around:
    whether it works around other attacks."""

    name: str
    title: str
    about: str
    paper: str
    needs: list[str]
    works_around: bool
    passes: str
    reported: str
    parameters: list[ParameterRow]


def card(name: str) -> AttackCard:
    """One attack by its name; `drc` is the recommended version. Raises UserError for an unknown one."""
    plain = name.partition("(")[0].strip()
    if plain != name:
        raise UserError(f"{name}: give the name alone, as in `trainedon attacks {plain}`; values go to --attacks")
    if name in GROUPS:
        raise UserError(f"{name} stands for several attacks, tested together: {GROUPS[name]}; ask about one of them")
    kind = Attack.noun.find(name)
    if not (isinstance(kind, type) and issubclass(kind, Attack)):
        raise UserError(f"{name} is no attack: choose from {', '.join(attacks())}")
    target = _example()
    row, known = _row(kind, target), parameters(kind)
    attack, around = _made(kind)
    means = meanings(kind)
    return AttackCard(
        name=row.name,
        title=row.title,
        about=inspect.getdoc(kind) or "",
        paper=row.paper,
        needs=row.needs.split(", "),
        works_around=bool(around),
        passes=row.passes,
        reported=row.reported,
        parameters=[_parameter_row(attack, one, means.get(one.name, "")) for one in known.values()],
    )


def _parameter_row(attack: Attack, one: Parameter, means: str) -> ParameterRow:
    default = None if one.required or one.is_opened else _parameter(attack, one).removeprefix(f"{one.name}=")
    takes = described(one).replace("a tuple of ", "one or several ")
    return ParameterRow(
        one.name,
        f"{takes}, joined by +" if one.many else takes,
        means,
        default,
        _choices(attack, one, means),
        _example_of(attack, one, means),
    )


def _choices(attack: Attack, one: Parameter, means: str) -> list[str] | None:
    if one.is_part and one.kind is not Attack:
        return sorted(one.kind.noun.registered())
    return sorted(_words(attack, one, means)) or None


def _example_of(attack: Attack, one: Parameter, means: str) -> str | None:
    """A text of `--attacks` in which it is given, with another value than its default where one is known."""
    if one.is_opened:
        return None
    _, around = _made(type(attack))
    inside = ["loss"] * len(around)
    if one.kind is Attack:
        value = "loss, pia" if one.many else "loss"
        return f"{attack.name}({value})"
    value = one.kind.noun.example if one.is_part else spelled(_another(attack, one, means))
    return f"{attack.name}({', '.join([*inside, f'{one.name}={value}'])})"


def _another(attack: Attack, one: Parameter, means: str) -> Any:
    """A value that the attack takes and that is not its default, which it is where none is known."""
    default = getattr(attack, one.name)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        others: list[Any] = [default + 1] if one.name == "seed" else [default * 2, default // 2, default + 1, 1]
    elif isinstance(default, float):
        others = [default / 2, default * 2, 1.0, 2.0]
    else:
        others = [] if one.many else _words(attack, one, means)
    return next((value for value in others if value != default and _takes(attack, one, value)), default)


def _words(attack: Attack, one: Parameter, means: str) -> list[str]:
    """The words that may stand there, of a text that is one of a few: its default, and those of its meaning that the
    attack takes."""

    def takes(word: str) -> bool:
        return _takes(attack, one, (word,) if one.many else word)

    if get_origin(one.kind) is Literal:
        return [*map(str, get_args(one.kind))]
    if one.kind is not str or takes("no such word"):
        return []
    words = re.findall(r"[\w-]+", f"{spelled(getattr(attack, one.name))} {means}")
    return [word for word in dict.fromkeys(words) if takes(word)]


def _takes(attack: Attack, one: Parameter, value: Any) -> bool:
    try:
        replace(attack, **{one.name: value})
    except UserError:
        return False
    return True


def markdown() -> str:
    """The same as a Markdown table, ending in a newline."""
    rows = [list(vars(row).values()) for row in listing()]
    lines = [HEADS, ["---"] * len(HEADS), *([f"`{row[0]}`", *row[1:]] for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _row(kind: type[Attack], target: Target) -> CatalogueRow:
    attack, around = _made(kind)
    others = [one for one in parameters(kind).values() if one.required and one.kind is not Attack]
    needs = (*attack.needs, *(["an attack inside"] if around else []))
    passes = "as its parameters have it" if others else _factor(attack, target) if around else _passes(attack, target)
    return CatalogueRow(
        name=kind.name,
        title=kind.title + _version(kind),
        paper=kind.paper,
        needs=", ".join(needs) or "noise prediction",
        parameters=", ".join(_parameter(attack, one) for one in parameters(kind).values()),
        passes=passes,
        reported="; ".join(map(_figures, kind.reported)),
    )


def _made(kind: type[Attack]) -> tuple[Attack, list[Parameter]]:
    """One of the kind, with a stand-in for all that must be given, and the parameters that are attacks inside."""
    required = [parameter for parameter in parameters(kind).values() if parameter.required]
    around = [parameter for parameter in required if parameter.kind is Attack]
    others = {parameter.name: _stand_in(parameter) for parameter in required if parameter.kind is not Attack}
    inside = {parameter.name: (Loss(),) if parameter.many else Loss() for parameter in around}
    return kind(**inside, **others), around


def _stand_in(parameter: Parameter) -> Any:
    return get_args(parameter.kind)[0] if get_origin(parameter.kind) is Literal else parameter.name.upper()


def _version(kind: type[Attack]) -> str:
    """Of an attack that has versions which one it is, and whether the plain name means it."""
    plain, at, number = kind.name.partition("@")
    if not at:
        return ""
    return f", version {number}" + ("" if superseded(kind) else f": what `{plain}` means")


def _parameter(attack: Attack, parameter: Parameter) -> str:
    """A parameter with its default, as one would type it; an attack inside stands without its name."""
    value = getattr(attack, parameter.name)
    if parameter.kind is Attack and value is not None:
        return "ATTACK" if parameter.required else ", ".join(map(spelled, value if parameter.many else [value]))
    return f"{parameter.name}={parameter.kind.written if parameter.is_opened else spelled(value)}"


def _passes(attack: Attack, target: Target) -> str:
    cost = attack.cost(target)
    text = f"{cost.forward}" + (f" + {cost.backward} backward" if cost.backward else "")
    text += " with one shadow model" if "shadows" in attack.needs else ""
    return text + (f"; {cost.setup} once a model" if cost.setup else "")


def _factor(attack: Attack, target: Target) -> str:
    return f"{attack.cost(target).forward // Loss().cost(target).forward} x the attack inside"


def _figures(reported: Reported) -> str:
    """What a paper prints, such as `cifar10: AUC .881, ASR .811`."""
    figures = {"AUC": reported.auc, "ASR": reported.asr, "TPR@1%": reported.tpr_1}
    text = ", ".join(f"{name} {value:g}".replace(" 0.", " .") for name, value in figures.items() if value is not None)
    return f"{reported.data}: {text}" + (f" ({reported.note})" if reported.note else "")


def _example() -> Target:
    """A model of the usual kind, by which costs are stated; it is never asked, and so has no network."""
    alpha_bars = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0)
    path = NoisePath(alpha_bars.sqrt(), (1 - alpha_bars).sqrt())
    return PixelUNet(Identity("example", "", "", 0), (3, 8, 8), path, "epsilon", network=nn.Identity())
