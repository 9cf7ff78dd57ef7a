"""`run.json` as it is read, whoever wrote it: what anything is made of has its type, and nothing is endless."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainedon.errors import UserError
from trainedon.reading import read_json

NAME = "run.json"
MOST = 8 * 2**20  # bytes
DEEPEST = 32  # lists and objects within one another
LARGEST = 2**63  # of a number


def read(out: Path) -> dict[str, Any]:
    """The record in a run folder. Raises UserError when there is none, and as `checked`."""
    path = out / NAME
    try:
        return checked(read_json(path, MOST), path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{out} is not a run folder: it has no {NAME}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def checked(value: Any, where: object) -> dict[str, Any]:
    """The value as it is, if it is the record of a run, of this version or an earlier one, which has fewer entries.

    Raises UserError, which begins with `where` and names the first entry that is none.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a JSON object, and so no record of a run: it is damaged")
    _check_values(value, where)
    try:
        _Record.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        raise UserError(f"{where} is no record of a run ({place}: {first['msg']}): it is damaged") from None
    return value


def _check_values(value: Any, where: object) -> None:
    """Raises UserError for numbers that are none or beyond all bounds, text that cannot be written, deep nesting."""
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            raise UserError(f"{where} is nested more than {DEEPEST} deep, and so no record of a run: it is damaged")
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            left += [(inner, depth + 1) for inner in one]
        elif isinstance(one, str):
            if not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise UserError(f"{where} holds text with half a character: it is damaged")
        elif isinstance(one, int | float) and not (math.isfinite(one) and abs(one) < LARGEST):
            raise UserError(f"{where} holds a number that none can be there: it is damaged")


def _moment(text: str) -> str:
    """Raises ValueError for what is no time, or one that is none in UTC."""
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError("no time that there is") from None
    return text


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


Count = Annotated[int, Field(ge=0)]
Moment = Annotated[str, AfterValidator(_moment)]


class _Identity(_Entry):
    kind: str | None = None
    model: str | None = None
    table: str | None = None
    pictures: dict[str, str] = {}
    attacks: list[str] = []
    device: str | None = None
    precision: str = "float32"
    compiled: bool = False
    lead: str = "first"
    controls: list[str] = []
    rendering: dict[str, str] = {}
    sweep: list[str] = []
    draw: str | None = None


class _Choices(_Entry):
    attacks: list[str] | None = None
    lead: Literal["first", "cdi"] = "first"
    device: str | None = None
    precision: str = "float32"
    compiled: bool = False
    caption: str | None = None
    dataset: str | None = None


class _Model(_Entry):
    name: str | None = None
    digest: str | None = None
    family: str | None = None
    parameters: Count | None = None
    shape: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=3)] | None = None
    latents: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=3)] | None = None
    timesteps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    prediction: str | None = None
    conditioning: str | None = None
    asked: dict[str, dict[str, Count]] | None = None
    distilled: str | None = None


class _Input(_Entry):
    path: str | None = None
    digest: str | None = None
    pictures: Count | None = None
    passed_over: dict[str, Count] = {}


class _Control(_Entry):
    of: str
    captions: Literal["fixed", "shuffled"]


class _Cost(_Entry):
    attack: str
    forward_per_picture: Count
    backward_per_picture: Count
    setup_passes: Count | None = None


class _Reported(_Entry):
    attack: str
    paper: str | None = None
    data: str | None = None
    note: str | None = None
    auc: float | None = None
    asr: float | None = None
    tpr_1: float | None = None


class _Measurement(_Entry):
    repr: str
    kind: str
    t: int
    move: str | None = None
    radius: float | None = None


class _Setting(_Entry):
    setting: dict[str, bool | int | float | str]
    repr: str


class _Group(_Entry):
    title: str
    question: str
    varied: list[str]
    axis: str | None
    settings: list[_Setting]

    @model_validator(mode="after")
    def _has_numbers_on_its_axis(self) -> _Group:
        points = [one.setting.get(self.axis) for one in self.settings] if self.axis in self.varied else []
        if not all(isinstance(point, int | float) and not isinstance(point, bool) for point in points):
            raise ValueError("a setting has no number on the axis")
        return self


class _Sweep(_Entry):
    attack: str
    groups: list[_Group]
    notes: list[str]


class _Answer(_Entry):
    chosen: str | None = None
    reason: str | None = None
    p_value: float | None = None
    pictures: Count = 0


class _Rendering(_Entry):
    alpha: str
    orientation: str
    fit: str
    resample: str
    pictures: dict[str, dict[Literal["usable", "alpha", "orientation"], Count]] = {}
    asked: dict[Literal["alpha", "orientation"], _Answer] = {}


class _Record(_Entry):
    """Entries that a version has not written yet are left to it; what is here is what the program makes use of."""

    schema_version: int | None = None
    status: str | None = None
    kind: Literal["audit", "evaluate"]
    command: str | None = None
    started: Moment | None = None
    finished: Moment | None = None
    identity: _Identity = _Identity()
    choices: _Choices = _Choices()
    model: _Model = _Model()
    inputs: dict[str, _Input | str] = {}
    labels: dict[str, str] = {}
    controls: dict[str, _Control] = {}
    costs: list[_Cost] = []
    reported: list[_Reported] = []
    study: list[_Measurement] = []
    sweep: _Sweep | None = None
    rendering: _Rendering | None = None
    notes: list[str] = []
    attribution: str | None = None
    versions: dict[str, str] = {}
    files: dict[str, str] = {}
    restored: dict[str, str] = {}
