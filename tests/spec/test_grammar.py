"""The parser, and what it makes of types."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Optional

import pytest

from trainedon.errors import UserError
from trainedon.spec import Call, Noun, Parameter, Part, parameters, read, register, spelled, split
from trainedon.spec.call import joined


def test_a_name_and_what_it_is_given():
    assert Call.of(" full ") == Call("full")
    assert Call.of("face:0.25") == Call("face", "0.25", colon=True)
    assert Call.of("drc(roi=inverted(face(0.25)), steps=5)") == Call("drc", "roi=inverted(face(0.25)), steps=5")
    assert list(Call.of("f(a, b=c(d=1, e), g = 'x, y')").arguments([])) == [
        (None, "a"),
        ("b", "c(d=1, e)"),
        ("g", "'x, y'"),
    ]
    assert list(Call.of("attention:0.1:C:/a:b").arguments(["ratio", "source"])) == [(None, "0.1"), (None, "C:/a:b")]
    assert list(Call.of("guided:scale=3,until=0.5").arguments([])) == [("scale", "3"), ("until", "0.5")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss(t=100", "'loss(t=100': the closing parenthesis is missing"),
        ("loss((t=100)", "the closing parenthesis is missing"),
        ("loss(t=100)x", "'x' stands after the closing parenthesis: take it away, or put a comma between"),
        ("loss(t=100))", "')' stands after the closing parenthesis"),
        ("loss(t='a)')b", "'b' stands after"),
    ],
)
def test_parentheses_that_do_not_fit_are_told(text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Call.of(text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a, b(c, d), 'e, f'", ["a", " b(c, d)", " 'e, f'"]),
        ("text=it's red, t=1", ["text=it's red", " t=1"]),  # an apostrophe opens no quotes
        ("text='it, t=1", ["text='it", " t=1"]),  # nor does what nothing closes
        ("masks:/it's (a, b)", ["masks:/it's (a, b)"]),
        ("", [""]),
    ],
)
def test_commas_in_quotes_and_parentheses_part_nothing(text, pieces):
    assert list(split(text, ",")) == pieces


def test_what_is_joined_by_plus():
    assert joined("diffuse:50+100+hide+blur:2") == ["diffuse:50", "diffuse:100", "hide", "blur:2"]
    assert joined("a(b+c)+d") == ["a(b+c)", "d"] and joined("440+450") == ["440", "450"]
    assert joined("center+masks:/a+b:0.1", ["masks"]) == ["center", "masks:/a+b:0.1"]
    assert joined("a+") == ["a", ""]


def value(hint: Any, text: str, name: str = "t") -> Any:
    most = Parameter(name, hint, None).most
    return read(hint, text, f"loss: {name}", lambda base, text: base.parse(text), most)


def test_a_seed_counts_nothing():
    assert value(int, "9" * 18, "seed") == int("9" * 18)
    with pytest.raises(UserError, match="seed=9223372036854775808 is too many"):
        value(int, str(2**63), "seed")
    with pytest.raises(UserError, match="reseed=1000001 is too many"):
        value(int, "1000001", "reseed")


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (int, "0x10", 16),
        (float, "1e-3", 0.001),
        (float, "2", 2.0),
        (bool, "True", True),
        (str, "it's", "it's"),
        (str, "'a, b'", "a, b"),
        (str, "None", "None"),
        (str, "5", "5"),
        (Path, "a/b", Path("a/b")),
        (str | Path, "a/b", "a/b"),
        (int | None, "None", None),
        (Optional[int], "3", 3),  # noqa: UP045 (as people still write it)
        (int | str, "3", 3),
        (int | str, "three", "three"),
        (tuple[int, ...], "1+2+3", (1, 2, 3)),
        (tuple[int, ...] | str, "1", (1,)),
        (tuple[str, ...], "none", ()),
        (tuple[int, str], "1+a", (1, "a")),
        (Literal["l1", "l2"], "l2", "l2"),
        (Literal[1, 2] | None, "2", 2),
    ],
)
def test_text_is_read_as_the_type_that_is_declared(hint, text, expected):
    made = value(hint, text)
    assert made == expected and type(made) is type(expected)


@pytest.mark.parametrize(
    ("hint", "text", "message"),
    [
        (int, "True", "loss: t takes a whole number, not 'True'"),
        (int, "1.0", "takes a whole number"),
        (int, "1000001", "loss: t=1000001 is too many: at most 1,000,000 can be asked for"),
        (float, "inf", "takes a number, not 'inf'"),
        (float, "__import__('os')", "takes a number"),
        (bool, "1", "is true or false, not '1'"),
        (tuple[int, ...], "1+b", "takes whole numbers joined by +, such as 100+200, not '1+b'"),
        (tuple[int, ...], "", "takes whole numbers"),
        (tuple[float, float], "1", "takes 2 values joined by +, not '1'"),
        (int | None, "none at all", "takes a whole number"),
        (Literal["l1", "l2"], "l3", "loss: t is one of l1, l2, not 'l3'"),
        (dict, "a", "loss: t is of type dict, which no text can give: make it in Python"),
        (list[int], "1+2", "loss: t is of type list[int], which no text can give"),
    ],
)
def test_what_a_type_does_not_hold_is_told(hint, text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        value(hint, text)


class Shape(Part):
    noun: ClassVar[Noun] = Noun("shape", "trainedon.tests.shapes", example="dot", also=("every",))
    joins: ClassVar[bool] = True

    @classmethod
    def joined(cls, parts):
        return Group(parts)


@register
@dataclass(frozen=True)
class Dot(Shape):
    size: int = 1
    colour: str = "red"
    name: ClassVar[str] = "dot"
    unnamed: ClassVar[tuple[str, ...]] = ("size", "colour")


@register
@dataclass(frozen=True)
class Around(Shape):
    shape: Shape = Dot(2)
    width: float = 1.0
    name: ClassVar[str] = "around"


@register
@dataclass(frozen=True)
class Group(Shape):
    shapes: tuple[Shape, ...] = field(default_factory=lambda: (Dot(), Dot(3)))
    name: ClassVar[str] = "group"


@register
def row(count: int, shape: Shape = Dot()) -> Group:
    return Group((shape,) * count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dot", Dot()),
        ("dot:5", Dot(5)),
        ("dot:5:light: blue", Dot(5, "light: blue")),
        ("dot(5, blue)", Dot(5, "blue")),
        ("dot(colour='a (b', size=3)", Dot(3, "a (b")),
        ("around(dot:4, width=2)", Around(Dot(4), 2.0)),
        ("around(shape=around)", Around(Around())),
        ("dot:1+2+around", Group((Dot(), Dot(2), Around()))),
        ("group(dot, dot:2)", Group((Dot(), Dot(2)))),
        ("group(shapes=dot:1+2)", Group((Dot(), Dot(2)))),
        ("around(dot+dot)", Around(Group((Dot(), Dot())))),
        ("row:2", Group((Dot(), Dot()))),
        ("row(1, dot:3)", Group((Dot(3),))),
    ],
)
def test_classes_and_functions_are_built_from_their_annotations(text, expected):
    assert Shape.parse(text) == expected
    assert Shape.parse(expected.spelled()) == expected


def test_what_is_given_to_all_reaches_those_inside_unless_they_say_it():
    made = Shape.noun.read("group(dot, dot:5, around)", given={"size": 7, "width": None, "unknown": 1})
    assert made == Group((Dot(7), Dot(5), Around(Dot(7))))
    assert Shape.noun.read("group", given={"colour": "blue"}) == Group((Dot(1, "blue"), Dot(3, "blue")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("circle", "unknown shape 'circle': choose from around, dot[:SIZE[:COLOUR]], group, row:COUNT, or every"),
        ("dott", "unknown shape 'dott' (did you mean dot?)"),
        ("dot(5, size=5)", "dot: size is given twice"),
        ("dot(5, blue, big)", "dot: 'big' is one value too many: write dot[:SIZE[:COLOUR]]"),
        ("dot(big=1)", "dot has no parameter 'big': it has size, colour"),
        ("around(dot, dot)", "around works on one shape, not on 2"),
        ("around(width)", "unknown shape 'width'"),
        ("row", "row: count is missing: write row:COUNT"),
        ("dot:" + "9" * 30, "more than 18 digits"),
        ("around(" * 30 + "dot" + ")" * 30, "parentheses 30 deep"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Shape.parse(text)


def test_only_parts_are_registered_and_each_name_once():
    with pytest.raises(ValueError, match="two shapes are called dot"):
        register(type("Other", (Shape,), {"name": "dot"}))
    with pytest.raises(TypeError, match="is no part"):
        register(int)
    with pytest.raises(UserError, match="is no Dot"):
        Dot.parse("around")


def test_what_a_parameter_is():
    known = parameters(Around) | parameters(Group)
    assert known["shape"].is_part and not known["shape"].many and known["shape"].kind is Shape
    assert known["shapes"].is_part and known["shapes"].many and not known["shapes"].required
    assert spelled(()) == "none" and spelled((1, 2)) == "1+2"
