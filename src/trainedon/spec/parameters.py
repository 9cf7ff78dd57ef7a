"""What a class or a function takes, by its annotations: as types, whether or not they were written as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from trainedon.spec.limits import LARGEST_SEED, MOST

REQUIRED: Any = MISSING


@dataclass(frozen=True)
class Parameter:
    """One parameter of what can be named. hint: its type. make_default: None where it must be given."""

    name: str
    hint: Any
    make_default: Callable[[], Any] | None

    @property
    def required(self) -> bool:
        return self.make_default is None

    @property
    def many(self) -> bool:
        """Whether it holds any number of what `kind` is."""
        return get_origin(self._said) is tuple

    @property
    def kind(self) -> Any:
        """The type of its value, of each one of `many`; of an optional one without None."""
        return get_args(self._said)[0] if self.many else self._said

    @property
    def _said(self) -> Any:
        """The first type that it may be of, but None."""
        return next((one for one in alternatives(self.hint) if one is not NoneType), NoneType)

    @property
    def is_part(self) -> bool:
        """Whether it holds parts that have names of their own."""
        return isinstance(self.kind, type) and hasattr(self.kind, "noun")

    def is_inside(self, noun: object) -> bool:
        """Whether it holds parts of this noun."""
        return self.is_part and self.kind.noun is noun

    @property
    def is_opened(self) -> bool:
        """Whether it is a helper, which lies in a file or a folder."""
        return opens(self.kind)

    @property
    def takes_text(self) -> bool:
        return str in alternatives(self.hint)

    @property
    def most(self) -> int:
        """How large its whole numbers may be: a seed is any number, and all others count something."""
        return LARGEST_SEED if self.name == "seed" else MOST


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; any other type alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def opens(kind: Any) -> bool:
    """Whether the type declares how its values are written (`written`, such as DIR) and opens them (`open`)."""
    return hasattr(kind, "written") and hasattr(kind, "open")


def parameters(maker: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a frozen dataclass or a function, by name and in their order.

    Raises TypeError for annotations that cannot be resolved, such as of names that are imported for type checks alone.
    """
    found: Any = maker
    return _parameters(found)


@lru_cache(maxsize=1024)
def _parameters(maker: Any) -> dict[str, Parameter]:
    try:
        hints = get_type_hints(maker)
    except NameError as error:
        raise TypeError(f"the annotations of {maker.__name__} cannot be resolved: {error}") from None
    if is_dataclass(maker):
        return {
            field.name: Parameter(field.name, hints[field.name], _default(field.default, field.default_factory))
            for field in fields(maker)
            if field.init
        }
    signature = inspect.signature(maker)
    return {
        name: Parameter(name, hints.get(name, str), _default(one.default if one.default is not one.empty else REQUIRED))
        for name, one in signature.parameters.items()
    }


def is_required(maker: Callable[..., Any]) -> bool:
    """Whether anything must be said besides the name."""
    return any(parameter.required for parameter in parameters(maker).values())


def _default(value: Any, factory: Any = MISSING) -> Callable[[], Any] | None:
    if factory is not MISSING:
        return factory  # type: ignore[no-any-return]
    return None if value is MISSING else lambda: value


def unnamed(maker: Callable[..., Any], noun: object) -> list[str]:
    """Parameters that may be given without their names: those that a class declares, or else those that hold parts of
    its own noun; of a function all."""
    known = parameters(maker)
    if not isinstance(maker, type):
        return list(known)
    inside = [key for key, one in known.items() if one.is_inside(noun)]
    return list(getattr(maker, "unnamed", ())) or inside


def name_of(maker: Callable[..., Any]) -> str:
    """The name by which a class or a function of a part is written."""
    return str(getattr(maker, "name", maker.__name__))
