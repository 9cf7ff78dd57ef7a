"""One attack under many settings: all combinations of some values, and the questions of the paper as such grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from trainedon.attacks.core.attack import HAVE, Attack
from trainedon.attacks.core.registry import parse_attacks
from trainedon.attacks.drc.drc import DRC
from trainedon.degrade import Center, Roi
from trainedon.errors import UserError, meant
from trainedon.formats.run_record import GroupEntry, SettingEntry, SweepEntry
from trainedon.spec import check_spelling, cut
from trainedon.sweeps.varied import SAME, Setting, as_text, names, only, setting, values, with_ratio
from trainedon.targets import Target

NOMINAL = ("seed",)  # numbers that have no order worth drawing
MOST = 200  # settings of a group: each pair of them is compared
Vary = Sequence[str] | Mapping[str, Sequence[object]]  # as people write it
Varied = Sequence[tuple[str, Sequence[object]]]


@dataclass(frozen=True)
class SettingGroup:
    """Settings that answer one question. axis: the varied number that a chart has across, `passes`, or None for words.

    asked: whether a person named each of the settings, so that none may be left out.
    """

    title: str
    question: str
    varied: tuple[str, ...]
    axis: str | None
    settings: tuple[Setting, ...]
    asked: bool = False


@dataclass(frozen=True)
class Question:
    """A grid that answers one question, at whatever else the attack was given."""

    title: str
    question: str
    vary: Varied
    axis: str | None = None


ENCODERS = ("own", "efficientnet-lite0", "sface", "pixel", "ssim", "own+pixel", "own+efficientnet-lite0", "own+sface")
QUESTIONS = {
    "mask-ratio": Question(
        "How much to hide",
        "How does accuracy change with the hidden share of the picture, and where does it peak?",
        [("mask-ratio", ("0.05", "0.1", "0.25", "0.5", "0.75", "0.9"))],
    ),
    "inverted": Question(
        "The region, or everything but the region",
        "Does the model remember the region, or rather its surroundings, which are hidden instead when it is inverted?",
        [("mask-ratio", ("0.1", "0.25", "0.5", "0.75")), ("inverted", ("false", "true"))],
    ),
    "region": Question(
        "Where to hide",
        "Does it pay to hide what draws most attention, rather than the centre, a random place, or the whole picture?",
        [("region", ("attention:0.25", "center:0.25", "random:0.25", "full"))],
    ),
    "encoder": Question(
        "What to compare with",
        "Which encoder, or which of several together, best tells restorations of training pictures from others?",
        [("encoder", ENCODERS)],
    ),
    "restorer": Question(
        "How to restore",
        "Does joining the kept part in at every step (eq. 4 of the paper) beat the naive start, and do resampling or "
        "guidance beat both?",
        [("restorer", ("naive", "join", "join:resamplings=4,jump=2", "ddnm", "twisted", "pigdm", "guided"))],
    ),
    "reference": Question(
        "The model in a mirror",
        "What does it buy to take off the score under the model itself, seen in a mirror, upside down or turned?",
        [("symmetries", ("none", "mirror", "upside-down", "half-turn", "all"))],
    ),
    "cost": Question(
        "Accuracy against cost",
        "What do more steps and more restorations buy?",
        [("steps", ("5", "10", "20", "40")), ("restorations", ("1", "2", "4"))],
        axis="passes",
    ),
}


@dataclass(frozen=True)
class SweepPlan:
    """One attack under many settings. notes: what was left out of a question, and why."""

    base: Attack
    groups: tuple[SettingGroup, ...]
    notes: tuple[str, ...] = ()

    @property
    def attacks(self) -> list[Attack]:
        """Every setting once, whichever groups it is in; the attack as it was given comes first where it is one."""
        every = {repr(one.attack): one.attack for group in self.groups for one in group.settings}
        first = every.pop(repr(self.base), None)
        return [*([first] if first else []), *every.values()]

    def possible(self, target: Target) -> SweepPlan:
        """Without what `target` cannot do, but for settings that a person named: of those a run says what is wrong.

        Raises UserError when nothing is left.
        """
        self.base.check(target)
        groups, notes = [], [*self.notes]
        for group in self.groups:
            kept = []
            for one in group.settings:
                reason = None if group.asked else _impossible(one.attack, target)
                if reason is None:
                    kept.append(one)
                else:
                    notes.append(_left_out(group.title, one.values, reason))
            if kept:
                groups.append(replace(group, settings=tuple(kept)))
        if not groups:
            raise UserError(f"nothing is left to sweep over: {notes[-1]}")
        return SweepPlan(self.base, tuple(groups), tuple(notes))

    def entry(self) -> SweepEntry:
        """What a run records, and `evidence.sweep` reads."""
        groups = [
            GroupEntry(
                title=group.title,
                question=group.question,
                axis=group.axis,
                varied=[*group.varied],
                settings=[SettingEntry(setting=one.values, repr=repr(one.attack)) for one in group.settings],
            )
            for group in self.groups
        ]
        return SweepEntry(attack=self.base.spelled(), groups=groups, notes=[*self.notes])


def plan(
    attack: str | Attack, vary: Vary, questions: Sequence[str], have: Sequence[str] = HAVE, **given: object
) -> SweepPlan:
    """The settings of a sweep over one attack.

    vary: texts such as `mask-ratio=0.1,0.25`, or name -> values, which are texts, numbers or parts; together they are
    one group, the grid of all combinations. questions: names of QUESTIONS, or `all`. have, given: as for
    `parse_attacks`; an attack that is no text has been given what it shall have. Raises UserError for a name or value
    that the attack does not take, a setting that is named twice, and when nothing is to be varied.
    """
    base = only(parse_attacks(attack, have, **given), attack) if isinstance(attack, str) else attack
    base.require(have)
    groups, notes = [], []
    if vary:
        groups.append(_grid(_read(vary, base), base, have))
    for name in _named_questions(questions, base):
        group, left_out = _answering(name, base, have)
        groups += [group] if group.settings else []
        notes += left_out
    if not groups:
        raise UserError(
            f"nothing is to be varied{f' ({notes[-1]})' if notes else ''}: give --vary NAME=V1,V2,... or --question "
            f"({', '.join(QUESTIONS)}, all)"
        )
    return SweepPlan(base, tuple(groups), tuple(notes))


def _read(vary: Vary, base: Attack) -> Varied:
    """Name and values of everything that is varied."""
    known = names(base)
    read: dict[str, Sequence[object]] = {}
    for name, found in vary.items() if isinstance(vary, Mapping) else map(_written, vary):
        if name not in known and "." not in name:
            choices = f"choose from {', '.join(known)}" if known else "it has none that can be varied"
            raise UserError(f"{base.name} has no parameter {cut(name)!r} to vary{meant(cut(name), known)}: {choices}")
        if name in read or SAME.get(name) in read or name in {SAME.get(one) for one in read}:
            raise UserError(f"{name} is varied twice: give all its values to one --vary")
        read[name] = values(found) if isinstance(found, str) else found
        if not read[name] or "" in read[name]:
            raise UserError(f"--vary {cut(name)} has a value that is empty: write NAME=V1,V2,...")
    return list(read.items())


def _written(text: str) -> tuple[str, list[str]]:
    """Name and values of a text such as `steps=5,10`."""
    check_spelling(text, "--vary")
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not equals:
        raise UserError(f"--vary {cut(text)!r}: write NAME=V1,V2,...")
    return name, values(rest)


def _grid(vary: Varied, base: Attack, have: Sequence[str]) -> SettingGroup:
    """All combinations of what a person asked for."""
    varied = tuple(name for name, _ in vary)
    settings: dict[str, Setting] = {}
    for combined in _combinations(vary):
        one = setting(base, combined, have)
        other = settings.setdefault(repr(one.attack), one)
        if other is not one:
            raise UserError(
                f"--vary names a setting twice: {_listed(other.values)} and {_listed(one.values)} are the same"
            )
        if len(settings) > MOST:
            raise UserError(
                f"--vary makes more than {MOST} settings, which are too many to compare: vary fewer at once"
            )
    question = f"How does accuracy change with {' and '.join(varied)}?"
    chosen = tuple(settings.values())
    return SettingGroup(" × ".join(varied), question, varied, _axis(varied, chosen), chosen, asked=True)


def _named_questions(asked: Sequence[str], base: Attack) -> list[str]:
    for name in asked:
        if name != "all" and name not in QUESTIONS:
            raise UserError(
                f"there is no question {cut(name)!r}{meant(cut(name), QUESTIONS)}: choose from "
                f"{', '.join(QUESTIONS)}, all"
            )
    if asked and not isinstance(base, DRC):
        raise UserError(f"the questions are about drc: vary the parameters of {base.name} with --vary NAME=V1,V2,...")
    return list(QUESTIONS) if "all" in asked else list(dict.fromkeys(asked))


def _answering(name: str, base: Attack, have: Sequence[str]) -> tuple[SettingGroup, list[str]]:
    """The grid of a question, and what is left out of it because a package is missing or it does not go together."""
    question, notes, settings = QUESTIONS[name], [], []
    varied = tuple(key for key, _ in question.vary)
    if "mask-ratio" in varied and isinstance(base, DRC) and not _has_ratio(base.roi):
        notes.append(f"{question.title}: the region of {base.spelled()} has no ratio, so the centre is hidden instead")
        base = replace(base, roi=Center())
    for combined in _combinations(question.vary):
        try:
            settings.append(setting(base, combined, have))
        except UserError as error:
            notes.append(_left_out(question.title, combined, str(error)))
    axis = question.axis or _axis(varied, settings)
    return SettingGroup(question.title, question.question, varied, axis, tuple(settings)), notes


def _combinations(vary: Varied) -> Iterator[dict[str, object]]:
    varied = [name for name, _ in vary]
    return (dict(zip(varied, one, strict=True)) for one in product(*(found for _, found in vary)))


def _has_ratio(roi: Roi) -> bool:
    try:
        with_ratio(roi, 0.25)
    except UserError:
        return False
    return True


def _axis(varied: Sequence[str], settings: Sequence[Setting]) -> str | None:
    """The varied number with the most values."""
    tried = {name: {one.values[name] for one in settings} for name in varied if name not in NOMINAL}
    numbers = [
        name
        for name, found in tried.items()
        if len(found) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
    ]
    return max(numbers, key=lambda name: len(tried[name]), default=None)


def _impossible(attack: Attack, target: Target) -> str | None:
    """Why the target cannot do this, if so."""
    try:
        attack.check(target)
    except UserError as error:
        return str(error)
    return None


def _left_out(title: str, combined: Mapping[str, object], reason: str) -> str:
    return f"{title}: {_listed(combined)} is left out ({reason})"


def _listed(combined: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={as_text(value)}" for name, value in combined.items())
