"""What text can name: the base of attacks, regions, degradations, restorers and similarities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any, ClassVar, Self

from trainedon.errors import UserError
from trainedon.spec.fitting import check_fields
from trainedon.spec.limits import check_spelling, cut
from trainedon.spec.nouns import Noun
from trainedon.spec.parameters import parameters
from trainedon.spec.texts import of_part
from trainedon.spec.values import read


class Part:
    """A frozen dataclass below the base class of its noun; its fields are its parameters, of types that text can say.

    name: as it is written. unnamed: parameters that may be given without their names, in this order, also after a
    colon; by default those that hold parts of the same noun. takes_rest: whether after its colon all of the text is one
    value, such as a path. joins: whether several joined by `+` are one part, see `joined`.
    """

    noun: ClassVar[Noun]
    name: ClassVar[str]
    unnamed: ClassVar[tuple[str, ...]] = ()
    takes_rest: ClassVar[bool] = False
    joins: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part that `text` says. Raises UserError for one that there is not, for values that it does not take, and
        when a package that it needs is missing."""
        check_spelling(text, f"the {cls.noun.title}")
        made = cls.noun.read(text.strip())
        if not isinstance(made, cls):
            raise UserError(f"{cut(text)!r} is no {cls.__name__}")
        return made

    @classmethod
    def joined(cls, parts: tuple[Any, ...]) -> Any:
        """Several parts as one, of a noun that `joins`."""
        raise NotImplementedError

    def check_installed(self) -> None:
        """Raises UserError when a package or a folder that the part needs is missing. Loads nothing."""

    def __init_subclass__(cls, **options: Any) -> None:
        """What a class says in its own `__post_init__` is said of values of the types that it declares."""
        super().__init_subclass__(**options)
        own = vars(cls).get("__post_init__")
        if own is not None:

            @wraps(own)
            def settled(self: Part) -> None:
                Part.__post_init__(self)
                own(self)

            cls.__post_init__ = settled  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        """Parameters that were given as text, and hold something else, are read.

        Raises UserError for values of other types than are declared.
        """
        for key, parameter in parameters(type(self)).items():
            value = getattr(self, key)
            if isinstance(value, str) and not parameter.takes_text:
                found = read(parameter.hint, value.strip(), f"{self.name}: {key}", lambda base, text: base.parse(text))
                object.__setattr__(self, key, found)
        check_fields(self, self.name)

    def spelled(self, given: Mapping[str, Any] | None = None) -> str:
        """The part as one would write it: its name, and what differs from its defaults.

        given: what is not said, as it is given to all (`seed`); `noun.read` with the same makes the same part again.
        What is opened, such as shadow models, has no text that holds elsewhere, and must be given.
        """
        return of_part(self, given)
