"""`run.json` as a type: what was asked, of which model, with which pictures and choices.

Entries that a version has not written yet are left out of its records: they have their defaults when they are read, and
are not written back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from trainedon.formats.null_view import NullView
from trainedon.formats.other_captions import OtherCaptions
from trainedon.formats.page_language import Language

# Version 1 leaves parameters out of the texts of attacks, and does not say what attacks declare of their scores.
SCHEMA_VERSION = 2
READABLE = (1, 2)


def _moment(text: str) -> str:
    """Raises ValueError for what is no time, or one that is none in UTC."""
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError("no time that there is") from None
    return text


def _source(value: object) -> object:
    """The path alone, as it may stand for a source, as the entry that it is short for."""
    return {"path": value} if isinstance(value, str) else value


Count = Annotated[int, Field(ge=0)]
Moment = Annotated[str, AfterValidator(_moment)]
Shape = Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=3)]
Kind = Literal["audit", "evaluate"]
# Of all tests of an audit, the one that its claim speaks of; and those that compare pictures with views of themselves.
Lead = Literal["first", "cdi", "mirror", "mirror-cdi", "twins"]
BY_MIRROR: tuple[Lead, ...] = ("mirror", "mirror-cdi")
Question = Literal["alpha", "orientation"]
Counted = Literal["usable", "alpha", "orientation"]  # pictures, in each of which ways


class _Entry(BaseModel):
    """Frozen and strict; entries that this version does not know are kept."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    def told(self) -> dict[str, Any]:
        """What was said, as JSON has it: without what only has its default."""
        return self.model_dump(exclude_unset=True)

    def but(self, **entries: Any) -> Self:
        """The same with other entries, which are not validated."""
        return self.model_copy(update=entries)

    def sparing(self, *names: str) -> Self:
        """The same, but those of these entries that only have their default are taken as not said, and not written."""
        fields = type(self).model_fields
        spared = {name for name in names if getattr(self, name) == fields[name].default}
        return type(self).model_construct(self.model_fields_set - spared, **dict(self))


class RunIdentity(_Entry):
    """What makes two runs the same one. Neither paths, which change no score, nor batch size, which changes the last
    digits at most (docs/speed.md)."""

    kind: Kind | None = None
    model: str | None = Field(default=None, description="digest of the model")
    table: str | None = Field(default=None, description="digest of the table of scores, in place of a model")
    pictures: dict[str, str] = Field(default={}, description="set -> digest over its pictures")
    attacks: list[str] = Field(default=[], description="repr of each, with every parameter")
    device: str | None = Field(default=None, description="its type")
    precision: str = Field(default="float32", description="missing where it is float32")
    compiled: bool = Field(default=False, description="missing where it is not")
    lead: str = Field(default="first", description="missing where it is the first attack")
    controls: list[str] = Field(default=[], description="repr of each control; missing without any")
    rendering: dict[str, str] = Field(default={}, description="how pictures become pixels, where it is not the default")
    sweep: list[str] = Field(default=[], description="titles of the questions of a sweep")
    draw: str | None = Field(default=None, description="commitment of the coins that decided who was a member")
    twins: str | None = Field(default=None, description="commitment of the coins that decided which copy was published")
    protocol: str = Field(default="standard-1", description="by whose rules scores become claims; missing: standard-1")


class ChoicesEntry(_Entry):
    """What was chosen, given or by default."""

    attacks: list[str] | None = Field(default=None, description="repr of each, in the order named")
    seed: int | None = None
    limit: int | None = Field(default=None, description="pictures of each set at most")
    dataset: str | None = Field(default=None, description="what papers call these pictures")
    lead: Lead = Field(default="first", description="the test that an audit's claim speaks of")
    device: str | None = None
    rows: int | None = Field(default=None, description="pictures in a batch")
    precision: str = "float32"
    compiled: bool = False
    caption: str | None = Field(default=None, description="of all pictures; null where they have their own")
    labels: str | None = Field(default=None, description="auto, folders or infer")
    pictures: str | None = Field(default=None, description="how pictures were brought to the model's size, in words")
    follow_links: bool = Field(default=False, description="missing where links out of a folder were left out")
    source_from: Literal["folder", "column"] | None = Field(
        default=None, description="what said whose work each picture is; missing where that was not asked"
    )


class OwnCodeEntry(_Entry):
    """That the model was opened by code of the auditor's own, which nothing vouches for."""

    source: str | None = Field(default=None, description="module:callable; null where it was opened in Python")
    code: str | None = Field(default=None, description="sha256 of the file of that module")
    hashed: bool = Field(default=True, description="whether the model's digest is one of its weights")
    asked: str | None = Field(default=None, description="how the network is told of noise, time and pictures, in words")


class ModelEntry(_Entry):
    """The audited model."""

    name: str | None = Field(default=None, description="of a hub model with its commit")
    digest: str | None = Field(default=None, description="sha256 over configuration and weights")
    family: str | None = None
    parameters: Count | None = None
    shape: Shape | None = Field(default=None, description="[channels, height, width] of its pictures")
    latents: Shape | None = Field(
        default=None, description="the same of the latents in which it works; null without them"
    )
    prediction: str | None = None
    timesteps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    conditioning: str | None = Field(default=None, description="none, class (N) or caption")
    asked: dict[str, dict[str, Count]] | None = Field(
        default=None,
        description="set -> way in which the model was asked -> usable pictures; missing without conditioning",
    )
    distilled: str | None = Field(
        default=None, description="why it is taken for a few-step student; missing where it is not"
    )
    own_code: OwnCodeEntry | None = Field(
        default=None, description="missing where this program opened the model by itself"
    )

    @property
    def is_conditioned_on_captions(self) -> bool:
        return self.conditioning == "caption"


class InputEntry(_Entry):
    """Where the pictures of a set came from; or the table of scores."""

    path: str | None = None
    digest: str | None = Field(default=None, description="sha256 over names, digests, labels and captions")
    pictures: Count | None = Field(default=None, description="unusable ones included")
    passed_over: dict[str, Count] = Field(
        default={}, description="kind -> files that are no pictures; missing without any"
    )
    companions: dict[str, Count] = Field(default={}, description="kind -> captions and the like; missing without any")


class ListedEntry(_Entry):
    """The lists of pictures as they were settled, before any was scored, and what earlier runs had scored of them.

    Earlier runs are those on the same model that are known: those in folders beside this one, and those of which the
    user's own record tells. One has no finding unless its own claim was of level 3 or above.
    """

    at: Moment = Field(description="UTC, before anything was scored")
    suspects: str | None = Field(default=None, description="digest of the list; missing in an evaluation")
    members: str | None = Field(default=None, description="digest of the list; missing in an audit")
    unseen: str | None = Field(default=None, description="digest of the list; missing where none were given")
    asked: Count = Field(default=0, description="earlier runs that asked about more than half of these suspects")
    kept: Count = Field(
        default=0, description="of these suspects, how many are among those that earlier runs without a finding scored"
    )
    left_out: Count = Field(
        default=0, description="of those that the same earlier runs scored, how many are not among these suspects"
    )


class AddedEntry(_Entry):
    """Attacks that were added when the run had been complete, and its scores could be seen."""

    attacks: list[str] = Field(description="repr of each")
    at: Moment = Field(description="UTC")


class ControlEntry(_Entry):
    """An attack that was made once more in another way: with other captions than the pictures' own, on a control model,
    or on changed pictures. Exactly one of these is said."""

    of: str = Field(description="repr of the attack")
    captions: OtherCaptions | None = Field(default=None, description="missing where they are the pictures' own")
    model: str | None = Field(default=None, description="digest of the control model; missing where none was asked")
    change: str | None = Field(default=None, description="what was done to all pictures; missing where nothing was")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if sum(said is not None for said in (self.captions, self.model, self.change)) != 1:
            raise ValueError("a control has either captions, a model or a change")
        return self


class CostEntry(_Entry):
    """Network passes that an attack was planned with."""

    attack: str = Field(description="repr")
    forward_per_picture: Count
    backward_per_picture: Count
    setup_passes: Count | None = Field(default=None, description="forward passes once a model")


class DeclaredEntry(_Entry):
    """What an attack says of its scores, for the words of the page."""

    shown_as: Literal["hidden", "noised"] | None = Field(
        default=None,
        description="hidden: evidence pictures show what was scored, a part hidden and restored; noised: scored are "
        "whole pictures, noised or faded, and evidence pictures are made for the eye alone; null without any",
    )
    relative_to: Literal["self", "reference"] | None = Field(
        default=None,
        description="what the score is the difference to: the same model, symmetry-conjugated, or a reference model; "
        "null where it stands by itself",
    )
    learns_from: Literal["labels"] | None = Field(
        default=None,
        description="labels: it learnt from pictures of which it was known whether they are members, so that scores "
        "depend on each other and intervals are wider; missing where it did not",
    )
    null_view: NullView | None = Field(
        default=None,
        description="view whose score is taken off, so that the sign of what is left is a coin for pictures that the "
        "model never saw, if they are as likely so as the other way round; missing where there is none",
    )


class ReportedEntry(_Entry):
    """What a paper prints for an attack, as shares in [0, 1]."""

    attack: str = Field(description="repr")
    paper: str | None = None
    data: str | None = Field(default=None, description="the pictures, as papers call them")
    auc: float | None = None
    asr: float | None = Field(default=None, description="attack success rate: best balanced accuracy")
    tpr_1: float | None = Field(default=None, description="TPR at a FPR of 1 %")
    note: str | None = None


class StudyEntry(_Entry):
    """One measurement of a study of peaks."""

    repr: str
    kind: str = Field(description="rise or curvature")
    move: str | None = Field(default=None, description="how the picture is moved; null for curvature")
    radius: float | None = Field(default=None, description="how far, RMS a pixel in [-1, 1]; null for curvature")
    t: int = Field(description="timestep")


class SettingEntry(_Entry):
    """One setting of a sweep."""

    setting: dict[str, bool | int | float | str] = Field(description="name of a parameter -> value")
    repr: str = Field(description="of the attack so set")


class GroupEntry(_Entry):
    """The settings that answer one question."""

    title: str
    question: str
    axis: str | None = Field(description="what a chart has across: a varied number, `passes`, or null for words")
    varied: list[str] = Field(description="names of parameters")
    settings: list[SettingEntry]

    @model_validator(mode="after")
    def _has_numbers_on_its_axis(self) -> Self:
        points = [one.setting.get(self.axis) for one in self.settings] if self.axis in self.varied else []
        if not all(isinstance(point, int | float) and not isinstance(point, bool) for point in points):
            raise ValueError("a setting has no number on the axis")
        return self


class SweepEntry(_Entry):
    """What a sweep varies."""

    attack: str = Field(description="the one that is varied, with what it was given besides")
    groups: list[GroupEntry]
    notes: list[str] = Field(description="what was left out, and why")


class AnswerEntry(_Entry):
    """How pictures that can be read in several ways were read, by what the model knows."""

    chosen: str | None = Field(default=None, description="null when it could not be told")
    p_value: float | None = None
    pictures: Count = Field(default=0, description="how many were asked about")
    scores: dict[str, float | None] = Field(default={}, description="answer -> mean score")
    reason: str | None = Field(default=None, description="why it could not be told")


class RenderingEntry(_Entry):
    """How the pictures were read."""

    alpha: str
    orientation: str
    fit: str
    resample: str
    pictures: dict[str, dict[Counted, Count]] = Field(
        default={}, description="set -> how many are usable, have transparency, are turned by EXIF"
    )
    asked: dict[Question, AnswerEntry] = Field(default={}, description="what matters and nobody said")


class RunRecord(_Entry):
    """`run.json`: what was asked, of which model, with which pictures and choices."""

    schema_version: int | None = Field(default=None, description="2; 1 in runs of version 0.1")
    status: str | None = Field(default=None, description="running, or complete, which is written last of all")
    kind: Kind
    command: str | None = Field(default=None, description="the command line that began the run")
    started: Moment | None = Field(default=None, description="UTC")
    finished: Moment | None = Field(default=None, description="UTC, when the last score was written; null before")
    identity: RunIdentity = RunIdentity()
    choices: ChoicesEntry = ChoicesEntry()
    model: ModelEntry = ModelEntry()
    inputs: dict[str, Annotated[InputEntry, BeforeValidator(_source)]] = Field(default={}, description="by set")
    listed: ListedEntry | None = Field(default=None, description="missing in runs of earlier versions and of tables")
    labels: dict[str, str] = Field(default={}, description="repr of an attack -> its short name")
    controls: dict[str, ControlEntry] = Field(
        default={}, description="repr of each control (an attack made in another way) -> of what it is"
    )
    added: list[AddedEntry] = Field(default=[], description="in the order in which it was done; missing where none was")
    control_model: ModelEntry | None = Field(
        default=None, description="the model that cannot have seen any picture; missing where none was given"
    )
    costs: list[CostEntry] = []
    declared: dict[str, DeclaredEntry] | None = Field(
        default=None,
        description="repr of each attack -> what its scores say; missing in records of version 1 and of tables",
    )
    reported: list[ReportedEntry] = []
    study: list[StudyEntry] = Field(default=[], description="of `trainedon peaks`")
    sweep: SweepEntry | None = Field(default=None, description="of `trainedon sweep`")
    rendering: RenderingEntry | None = Field(
        default=None, description="null until it is settled; missing in runs of earlier versions"
    )
    language: Language = Field(default="en", description="of the page; missing where it is English")
    notes: list[str] = Field(default=[], description="what was assumed")
    attribution: str | None = Field(default=None, description="who made the pictures")
    versions: dict[str, str] = Field(default={}, description="of packages, as the run began")
    files: dict[str, str] = Field(default={}, description="sha256 of the files that statistics are computed from")
    restored: dict[str, str] | None = Field(
        default=None, description="sha256 of the evidence pictures; missing in runs of earlier versions"
    )

    @property
    def has_unseen_to_compare(self) -> bool:
        """If pictures are compared with unseen ones, where there are any, not with views or copies of themselves."""
        return self.kind == "evaluate" or self.choices.lead in ("first", "cdi")

    @property
    def is_complete(self) -> bool:
        return self.status == "complete"

    def noted(self, *notes: str) -> Self:
        """The same record with these notes too, each of which stands once."""
        return self.but(notes=[*dict.fromkeys([*self.notes, *notes])])
