"""The registries: which attacks, regions, degradations, restorers and similarities there are."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_origin, get_type_hints

from trainedon.errors import UserError, meant
from trainedon.spec.arguments import Arguments
from trainedon.spec.call import Call, joined
from trainedon.spec.limits import cut
from trainedon.spec.parameters import is_required, name_of, parameters, unnamed

Maker = Callable[..., Any]  # the class of a part, or a function that makes one
M = TypeVar("M", bound=Maker)
NAME = re.compile(r"[a-z][a-z0-9_-]*(@[1-9][0-9]*)?", re.ASCII)  # with its version, where it has several
_nouns: list[Noun] = []


class LeftOut(UserWarning):
    """A part that another package offers cannot be loaded, and is left out."""


class Noun:
    """A kind of part, and all of its kind that can be named. It stands in the base class of the kind, as `noun`.

    title: what messages call one. group: the entry points by which other packages offer theirs. example: the name of
    one, for messages. also: words that stand for several, where parts are listed. recommended: names of what has
    versions -> the version that is meant where none is said.
    """

    def __init__(
        self,
        title: str,
        group: str,
        example: str,
        also: Sequence[str] = (),
        recommended: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.title, self.group, self.example, self.also = title, group, example, also
        self.recommended = recommended
        self.base: Any = None
        self.makers: dict[str, Maker] = {}
        self.left_out: dict[str, str] = {}  # entry point -> why it cannot be loaded
        self.tried: set[EntryPoint] = set()
        _nouns.append(self)

    def __set_name__(self, owner: type, name: str) -> None:
        self.base = owner

    def register(self, maker: Maker) -> None:
        """Raises ValueError when another one has its name, when no text could name it, and for a parameter that would
        hide a method of the base class."""
        name = name_of(maker)
        for field in fields(maker) if is_dataclass(maker) else ():
            if callable(getattr(self.base, field.name, None)):
                raise ValueError(
                    f"{name}: {field.name} is a method of every {self.title}: call the parameter otherwise"
                )
        if name in (*self.also, *self.recommended) or not NAME.fullmatch(name):
            raise ValueError(f"{'an' if self.title[0] in 'aeiou' else 'a'} {self.title} cannot be called {name!r}")
        if self.makers.get(name, maker) is not maker:
            raise ValueError(f"two {self.title}s are called {name}")
        self.makers[name] = maker

    def registered(self) -> dict[str, Maker]:
        """All by name, those of other packages among them."""
        self.load()
        return dict(sorted(self.makers.items()))

    def load(self) -> None:
        """Registers what other packages offer, each once. What cannot be loaded is left out, with a warning."""
        for point in entry_points(group=self.group):
            if point in self.tried:
                continue
            self.tried.add(point)
            before = dict(self.makers)
            try:
                self._load(point)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's code may raise anything)
                self.makers = before  # also without what a module registered before it failed
                self.say_without(point.name, error)

    def leave_out(self, name: str, error: BaseException) -> None:
        """A part of another package, which raised this, is known no more; a warning says so."""
        self.makers.pop(name, None)
        self.say_without(name, error)

    def say_without(self, name: str, error: BaseException) -> None:
        """A warning that an entry point is left out, and why."""
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.left_out[name] = " ".join(reason.split())
        warnings.warn(self.without(name), LeftOut, stacklevel=3)

    def without(self, name: str) -> str:
        """A sentence about an entry point that is left out."""
        why = cut(self.left_out[name], 300)
        return f"the {self.title} {name} of another package cannot be loaded ({why}): mend or remove that package"

    def find(self, name: str) -> Maker:
        """The one of this name, of its recommended version where none is said. Raises UserError with the choices, or
        with why it cannot be loaded."""
        name = self.recommended.get(name, name)
        if name not in self.makers:
            self.load()
        if name in self.makers:
            return self.makers[name]
        if name in self.left_out:
            raise UserError(self.without(name))
        if name in self.also:
            raise UserError(
                f"{name} stands for several {self.title}s: name it by itself, without parameters, not inside another"
            )
        hint = meant(cut(name), [*self.makers, *self.recommended, *self.also])
        choices = ", ".join(sorted([*self.recommended, *map(self.usage, self.registered().values())])) + "".join(
            f", or {word}" for word in self.also[:1]
        )
        raise UserError(f"unknown {self.title} {cut(name)!r}{hint}: choose from {choices}")

    def usage(self, maker: Maker) -> str:
        """How it is written, such as `attention[:RATIO[:SOURCE]]`, `masks:PATH` or `inverted(REGION)`."""
        text, optional = name_of(maker), 0
        for parameter in (parameters(maker)[key] for key in unnamed(maker, self)):
            if not parameter.is_part:
                text += f"{'' if parameter.required else '['}:{parameter.name.upper()}"
                optional += not parameter.required
            elif parameter.required:
                text += f"({parameter.kind.noun.title.upper()})"
        return text + "]" * optional

    def read(self, text: str, given: Mapping[str, Any] | None = None) -> Any:
        """The part that `text` names.

        given: values for parameters of this name that are not said, of it and of its like inside it; None stands for
        none. Raises UserError for anything that is wrong with it.
        """
        pieces = joined(text, self._taking_the_rest()) if self.base.joins else [text]
        if len(pieces) > 1:
            return self.base.joined(tuple(self._one(piece, given or {}) for piece in pieces))
        return self._one(text, given or {})

    def _one(self, text: str, given: Mapping[str, Any]) -> Any:
        call = Call.of(text)
        maker = self.find(call.name)
        made = maker(**Arguments(self, maker, given).of(call))
        made.check_installed()
        return made

    def _taking_the_rest(self) -> list[str]:
        return [name for name, maker in self.makers.items() if getattr(maker, "takes_rest", False)]

    def _load(self, point: EntryPoint) -> None:
        maker = point.load()
        if noun_of(maker) is not self:
            raise TypeError(f"{point.value} is no {self.title}")
        declared = get_type_hints(self.base).items() if isinstance(maker, type) else ()
        missing = [name for name, hint in declared if get_origin(hint) is ClassVar and not hasattr(maker, name)]
        if missing:
            raise TypeError(f"{point.value} does not declare {', '.join(missing)}")
        if isinstance(maker, type) and not getattr(getattr(maker, "__dataclass_params__", None), "frozen", False):
            raise TypeError(f"{point.value} is not a frozen dataclass")
        if not is_required(maker):
            maker()
        self.register(maker)


def register(maker: M) -> M:
    """Decorator of the class of a part, or of a function whose annotations say that it returns one: it can be named."""
    noun_of(maker).register(maker)
    return maker


def left_out() -> list[str]:
    """A sentence about each part that another package offers and that cannot be loaded."""
    for noun in _nouns:
        noun.load()
    return [noun.without(name) for noun in _nouns for name in noun.left_out]


def offered_by(module: str) -> str | None:
    """The package that a module is of, as it is installed, if it offers parts; None for all else."""
    package = module.partition(".")[0]
    points = (point for noun in _nouns for point in noun.tried if point.module.partition(".")[0] == package)
    return next((point.dist.name if point.dist else package for point in points), None)


def noun_of(maker: Any) -> Noun:
    """The noun of a class, or of what a function returns. Raises TypeError where there is none."""
    made = maker if isinstance(maker, type) or not callable(maker) else get_type_hints(maker).get("return")
    noun = getattr(made, "noun", None)
    if not isinstance(noun, Noun):
        raise TypeError(f"{maker!r} is no part: derive it from Attack, Roi, Degradation, Restorer or Similarity")
    return noun
