"""What a part is made with: values from what is said of it, from what is given to all, and from its defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainedon.errors import UserError, meant
from trainedon.spec.call import Call
from trainedon.spec.limits import cut
from trainedon.spec.parameters import Parameter, name_of, parameters, unnamed
from trainedon.spec.values import read

if TYPE_CHECKING:
    from trainedon.spec.nouns import Noun

Said = dict[str, str | list[str]]  # parameter -> its text, or the texts that stand there without its name


class Arguments:
    """The arguments of `maker`, a class or a function that makes one of `noun`.

    given: values for parameters of this name that are not said, here and in parts of the same noun inside.
    """

    def __init__(self, noun: Noun, maker: Callable[..., Any], given: Mapping[str, Any]) -> None:
        self.noun, self.maker = noun, maker
        self.given = {key: value for key, value in given.items() if value is not None}
        self.name, self.known, self.unnamed = name_of(maker), parameters(maker), unnamed(maker, noun)

    def of(self, call: Call) -> dict[str, Any]:
        """Name -> value. Raises UserError for what does not fit."""
        said = {key: self._value(self.known[key], text) for key, text in self._said(call).items()}
        arguments = {**self.unsaid(), **said}
        for key, parameter in self.known.items():
            if parameter.required and key not in arguments:
                raise self._lacking(parameter)
        return arguments

    def unsaid(self) -> dict[str, Any]:
        """What is given to all, to it and to the parts inside it, where nothing is said: name -> value."""
        arguments = {key: value for key, value in self.given.items() if key in self.known}
        for key, parameter in self.known.items():
            usual = parameter.make_default
            if key not in arguments and usual is not None and self.given and parameter.is_inside(self.noun):
                arguments[key] = self._given_to(usual())
        return arguments

    def _said(self, call: Call) -> Said:
        named: dict[str, str] = {}
        alone: list[str] = []
        for key, text in call.arguments(self.unnamed):
            if key is None:
                alone.append(text)
            elif key not in self.known:
                raise self._no_parameter(key)
            elif key in named:
                raise UserError(f"{self.name}: {key} is given twice")
            else:
                named[key] = text
        while len(alone) > 1 and not alone[-1]:  # nothing behind a last colon says nothing, as in `own:200:`
            alone.pop()
        placed: dict[str, list[str]] = {}
        for place, text in enumerate(alone):
            placed.setdefault(self._place(place, text, len(alone)), []).append(text)
        for key in named.keys() & placed.keys():
            raise UserError(f"{self.name}: {key} is given twice")
        return {**named, **placed}

    def _place(self, place: int, text: str, count: int) -> str:
        """The parameter that a text without a name is for."""
        if not self.unnamed:
            if text in self.known:
                raise UserError(f"{self.name}: {text} has no value: write {text}=VALUE")
            raise self._no_parameter(text)
        last = self.known[self.unnamed[-1]]
        if place < len(self.unnamed) or last.many:
            return self.unnamed[min(place, len(self.unnamed) - 1)]
        if last.is_inside(self.noun):
            raise UserError(f"{self.name} works on one {self.noun.title}, not on {count}")
        raise UserError(f"{self.name}: {cut(text)!r} is one value too many: write {self.noun.usage(self.maker)}")

    def _value(self, parameter: Parameter, said: str | list[str]) -> Any:
        if isinstance(said, list) and parameter.many:
            return tuple(self._part(parameter.kind, text) for text in said)
        text = said if isinstance(said, str) else said[0]
        return read(parameter.hint, text, f"{self.name}: {parameter.name}", self._part, parameter.most)

    def _part(self, base: Any, text: str) -> Any:
        return base.noun.read(text, self.given if base.noun is self.noun else {})

    def _given_to(self, usual: Any) -> Any:
        """A part, or each of several, with what is given to all that take it; what is none stays as it is."""
        if isinstance(usual, tuple):
            return tuple(map(self._given_to, usual))
        if not hasattr(usual, "noun"):
            return usual
        known = parameters(type(usual))
        return replace(usual, **{key: value for key, value in self.given.items() if key in known})

    def _no_parameter(self, key: str) -> UserError:
        known = [one.name for one in self.known.values() if not one.is_inside(self.noun)]
        has = f"it has {', '.join(known)} (quote a value with commas)" if known else "it has none"
        return UserError(f"{self.name} has no parameter {cut(key)!r}{meant(cut(key), known)}: {has}")

    def _lacking(self, parameter: Parameter) -> UserError:
        if parameter.is_inside(self.noun):
            title, example = self.noun.title, self.noun.example
            return UserError(f"{self.name} works on another {title}: name it, such as {self.name}({example})")
        return UserError(f"{self.name}: {parameter.name} is missing: write {self.noun.usage(self.maker)}")
