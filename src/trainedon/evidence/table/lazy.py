"""Many records of one kind in a document, made when they are looked at or written: a million of them take no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, get_args, overload

from pydantic import BaseModel, GetCoreSchemaHandler, SerializationInfo
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T", bound=BaseModel)
BLOCK = 512  # records made at once


class LazySequence(Sequence[T]):
    """`n` records of `kind`; `made` gives those of a slice. Equal to any sequence of the same records.

    As the type of a field it takes a tuple too, and has a tuple's schema and JSON.
    """

    def __init__(self, kind: type[T], n: int, made: Callable[[slice], list[T]]) -> None:
        self.kind, self.n, self.made = kind, n, made

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            return tuple(self.made(at))
        place = range(self.n)[at]
        return self.made(slice(place, place + 1))[0]

    def blocks(self) -> Iterator[list[T]]:
        """All records, some at a time."""
        return (self.made(slice(start, start + BLOCK)) for start in range(0, self.n, BLOCK))

    def __iter__(self) -> Iterator[T]:
        return (record for block in self.blocks() for record in block)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)  # a copy in another process has the records themselves

    def __repr__(self) -> str:
        return f"LazySequence({self.n} x {self.kind.__name__})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (kind,) = get_args(source)
        records = handler.generate_schema(tuple[kind, ...])  # type: ignore[valid-type]
        return core_schema.json_or_python_schema(
            json_schema=records,
            python_schema=core_schema.no_info_wrap_validator_function(
                lambda value, validate: value if isinstance(value, LazySequence) else validate(value), records
            ),
            serialization=core_schema.wrap_serializer_function_ser_schema(_dumped, info_arg=True, schema=records),
        )


def _dumped(value: Any, dump: Callable[[Any], Any], info: SerializationInfo) -> Any:
    """Its records; where the context is a function, what this gives in place of a LazySequence."""
    if not isinstance(value, LazySequence):
        return dump(value)
    return info.context(value) if callable(info.context) else dump(tuple(value))
