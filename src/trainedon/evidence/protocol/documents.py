"""What `evaluation.json` and `audit.json` hold. Strict: unknown fields, NaN and infinities are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from trainedon.evidence.protocol.rules import Protocol
from trainedon.evidence.table.lazy import LazySequence
from trainedon.formats.other_captions import OtherCaptions
from trainedon.formats.run_record import BY_MIRROR

Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Interval = tuple[Unit, Unit]
IntervalMethod = Literal["delong", "bound"]
Correlation = Annotated[float, Field(ge=-1, le=1)]
NUMBERS = re.compile(r"\[\n[-+.,eEnul\d\s]*\]")  # a list of numbers and nulls; no string holds a line break


class Document(BaseModel):
    """Frozen, with every field known and every number finite."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: object) -> bool:
    return not value


class Flag(Document):
    """Something that a reader must know before using the numbers."""

    code: str
    raised_because: str
    meaning: str
    remedy: str


class BlindView(Document):
    """One way to look at the pictures without the model: a cross-fitted classifier on it."""

    name: str
    auc: Unit
    auc_ci: Interval
    p_value: Unit = Field(description="of this view alone")


class Blind(Document):
    """The blind baseline: can the two sets be told apart without the model? Null where it could not be run."""

    auc: Unit | None = Field(description="of the view that separates best")
    auc_ci: Interval | None
    p_value: Unit | None = Field(description="of all views together")
    level: Unit
    separates: bool | None
    views: tuple[BlindView, ...]
    codec_mismatch: bool | None
    resolution_mismatch: bool | None
    n_pictures: Count = Field(description="suspects or members that it looked at")
    n_unseen: Count
    reason: str | None = Field(description="why it was not run; null when it was")
    detectable: Unit | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="whichever view saw a difference of this AUC, it would have been found in four cases of five; "
        "missing where not run, and in documents of standard-1",
    )


class UnseenControl(Document):
    """Unseen pictures against unseen pictures: the calibration half against the evaluation half, where nothing is to be
    found. Null with too few pictures for the level."""

    p_value: Unit | None = Field(description="two-sided permutation test")
    level: Unit
    finds: bool | None
    detectable: Unit | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="AUC of a difference that would have been found in four cases of five; missing where none would, "
        "and in documents of standard-1",
    )


class NearCopy(Document):
    """One picture that does not count in its set, and the picture that counts in its place."""

    picture: str
    set: str
    near: str


class Duplicates(Document):
    """Pictures that were left out of every count because another one stands for them."""

    sought: bool = Field(description="whether near-duplicates were looked for; exact copies always are")
    n_exact: Count
    n_near: Count = Field(description="near-duplicates of a picture that counts")
    n_across: Count = Field(description="clusters of near-duplicates that lie in both sets")
    examples: tuple[NearCopy, ...] = Field(description="at most twenty")


class Rate(Document):
    """TPR at one FPR level. All numbers are null when the unseen pictures are too few; `note` then says so."""

    tpr: Unit | None
    tpr_ci: Interval | None
    tpr_ci_alone: Interval | None = Field(description="at 95 % for this attack alone")
    fpr: Unit | None = Field(description="counted on the evaluation half")
    fpr_ci: Interval | None
    threshold: float | None = Field(description="conformal, from the calibration half; positive is score > threshold")
    estimable: bool
    n: Count = Field(description="unseen pictures scored, both halves")
    needed: Count = Field(description="unseen pictures that this level needs")
    note: str | None


class Unscored(Document):
    """How many pictures have no score for one reason."""

    reason: str
    n: Count


class OneRun(Document):
    """A lower bound on epsilon from one training run whose pictures were drawn by coin (arXiv 2305.08846)."""

    epsilon: float
    delta: Unit
    confidence: Unit
    guesses: Count
    correct: Count
    tried: tuple[Count, ...] = Field(description="numbers of guesses; the bound is corrected for having tried them")
    n_included: Count
    n_held_out: Count


class AttackEvaluation(Document):
    """One attack against pictures whose membership is known."""

    name: str
    repr: str
    auc: Unit | None
    auc_ci: Interval | None
    auc_ci_alone: Interval | None = Field(description="at 95 % for this attack alone")
    auc_ci_method: IntervalMethod | None
    asr: Unit | None = Field(description="best-threshold balanced accuracy")
    asr_is_optimistic: Literal[True] = True
    tpr_at_fpr: dict[str, Rate]
    roc: tuple[Interval, ...] = Field(description="(FPR, TPR) points, thinned for drawing")
    nfe_per_picture: float | None
    seconds_per_picture: float | None
    n_members: Count
    n_unseen: Count
    n_calibration: Count
    n_evaluation: Count
    n_tied: Count = Field(description="scored pictures whose score also occurs in the other set")
    unseen_control: UnseenControl
    one_run: OneRun | None = Field(description="only where a coin decided about each picture")
    n_not_scored: Count
    not_scored: tuple[Unscored, ...]


class NamedBy(Document):
    """How many pictures exactly 0, 1, 2, ... of the naming attacks name."""

    member: tuple[Count, ...]
    unseen: tuple[Count, ...] = Field(description="of the evaluation half")


class Named(Document):
    """One member and the attacks that name it, as indices into `Agreement.attacks`."""

    picture: str
    sha256: str | None
    by: tuple[Count, ...]


class Agreement(Document):
    """Whether the attacks of an evaluation agree. A picture is named when its score is above the threshold."""

    attacks: tuple[str, ...] = Field(description="their repr; every index below points here")
    spearman: tuple[tuple[Correlation | None, ...], ...] = Field(description="over the pictures that both scored")
    fpr: Unit | None = Field(description="level of the thresholds; null where no two attacks have one")
    naming: tuple[Count, ...] = Field(description="the attacks that have a threshold at this level")
    named_by: NamedBy | None
    pictures: LazySequence[Named] = Field(description="members that all naming attacks scored, most often named first")
    n_not_listed: Count = Field(
        0,
        exclude_if=_is_empty,
        description="further such members, named by as many or fewer; missing where all are listed",
    )


class PromptControl(Document):
    """One attack on a model that is conditioned on captions, with others than the pictures' own: a control, not an
    attack. `lost` compares it with the attack itself, on the pictures that both scored."""

    attack: str = Field(description="the name of the attack that it belongs to")
    of: str = Field(description="the repr of that attack")
    repr: str
    captions: OtherCaptions
    auc: Unit | None
    auc_ci: Interval | None
    lost: Correlation | None = Field(description="AUC with the right captions minus AUC with these")
    lost_ci: tuple[Correlation, Correlation] | None
    gone: bool = Field(description="whether its interval reaches down to 0.5, and that of what it lost lies above 0")
    n_pictures: Count = Field(description="suspects or members scored")
    n_unseen: Count


class AuditPromptControl(PromptControl):
    """The same with the test of the set, which is corrected for nothing and supports no claim."""

    p_value: Unit | None
    n_permutations: Count | None


class ConditioningControl(Document):
    """A control: is the model conditioned alike for both sets? Only of models with classes or captions."""

    by: Literal["class", "caption"]
    ways: dict[str, dict[str, Count]] = Field(
        description="set -> way -> usable pictures; ways: given, folders, inferred, none; own, one (for all), missing"
    )
    classes_p_value: Unit | None = Field(description="of given classes being spread alike; null without them")
    level: Unit
    differs: bool
    because: str | None = Field(description="what differs; null where nothing does")


class Counterpart(Document):
    """One attack, or all of them together as CDI, where nothing can be remembered: a control, which enters no
    correction. What it finds is no memory."""

    attack: str = Field(description="the name of the attack that it belongs to")
    of: str = Field(description="the repr of that attack, or cdi")
    repr: str = Field(description="of the control, or cdi")
    effect: Unit | None = Field(description="P(suspect or member > unseen) there")
    effect_ci: Interval | None
    p_value: Unit | None = Field(description="one-sided, as of the attack")
    level: Unit
    finds: bool | None = Field(description="whether a difference is found there too; null where not made")
    detectable: Unit | None = Field(description="AUC that would have been found in four cases of five; null without")
    left: Unit | None = Field(description="AUC of the difference of both (normal scores), as in difficulty calibration")
    left_p_value: Unit | None
    caps: bool = Field(description="whether a claim that rests on this attack stays at level 2")
    n_pictures: Count = Field(description="suspects or members scored")
    n_unseen: Count


class ModelControl(Counterpart):
    """On a model that cannot have seen any picture of the run."""

    alike: Correlation | None = Field(
        None,
        description="rank correlation of its scores with those of the audited model, over unseen pictures; of CDI the "
        "median over attacks; null where there is none, missing in older documents",
    )


class Sensitivity(Counterpart):
    """On the audited model, but with pictures that were changed so that memory is lost and what else sets the two sets
    apart is kept."""

    change: str = Field(description="what was done to all pictures: mirror, upside-down or half-turn")


class Randomised(Document):
    """A split that was drawn by coin before training, and holds for every picture of the run."""

    commitment: str = Field(description="SHA-256 that was published before the secret")
    n_included: Count
    n_held_out: Count


class Verdict(Document):
    """What an evaluation says first. It speaks of the strongest attack, never of the first that was named, and its
    interval is that of all attacks together, so that it holds although the strongest was picked."""

    strongest: str = Field(description="repr of the attack with the highest AUC, of equal ones the first named")
    auc: Unit
    auc_ci: Interval = Field(description="together with those of all attacks")
    n_attacks: Count = Field(description="that have an AUC")
    shown_by: str | None = Field(
        description="repr of the attack whose interval has the highest lower end, if above 0.5; null where no "
        "attack tells members from unseen pictures beyond chance"
    )
    sentence: str


class Evaluation(Document):
    """`evaluation.json`: how much a model leaks, ground truth known."""

    schema_version: Literal[1, 2]
    protocol: Protocol
    interval_level: Unit = Field(description="of all intervals of one kind together, over the attacks")
    verdict: Verdict | None = Field(
        default=None, exclude_if=_is_empty, description="missing in standard-1, and where no attack has an AUC"
    )
    attacks: tuple[AttackEvaluation, ...]
    agreement: Agreement | None = None
    blind: Blind
    duplicates: Duplicates
    randomised: Randomised | None = None
    prompt_controls: tuple[PromptControl, ...] = Field((), exclude_if=_is_empty, description="missing where none")
    asked: ConditioningControl | None = Field(None, exclude_if=_is_empty, description="missing where not recorded")
    control_models: tuple[ModelControl, ...] = Field((), exclude_if=_is_empty, description="missing without a model")
    sensitivity: tuple[Sensitivity, ...] = Field((), exclude_if=_is_empty, description="missing where not made")
    flags: tuple[Flag, ...]

    @property
    def strongest(self) -> AttackEvaluation | None:
        """The attack with the highest AUC, of equal ones the first named; None where none has an AUC. Its `auc_ci`
        holds for all attacks together, and so although this one was picked."""
        return max(self._measured, key=lambda one: one.auc or 0.0, default=None)

    @property
    def best_shown(self) -> AttackEvaluation | None:
        """The attack whose `auc_ci` has the highest lower end: none shows more of a leak."""
        return max(self._measured, key=lambda one: one.auc_ci[0] if one.auc_ci else 0.0, default=None)

    @property
    def _measured(self) -> list[AttackEvaluation]:
        return [one for one in self.attacks if one.auc is not None]


class Claim(Document):
    """What may be said, on a ladder from 0 to 4, and the rule that put it there."""

    level: Annotated[int, Field(ge=0, le=4)]
    sentence: str
    because: str
    assumption: Literal["exchangeable", "mirror"] | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="what level 3 rests on: unseen pictures or mirror images that are alike",
    )

    @property
    def grade(self) -> str:
        """The level as it is said: `3m` where it rests on mirror images."""
        return f"{self.level}m" if self.assumption == "mirror" else str(self.level)


class MirrorTest(Document):
    """Every suspect against its own mirror image, or another view of it: the signs of an attack's scores, which are
    differences to the model seen that way."""

    view: str = Field(description="mirror, upside-down, half-turn or red-blue")
    n: Count = Field(description="suspects with a sign, of near-duplicates one")
    n_positive: Count
    n_flipped: Count = Field(description="signs that are flipped apart: as many, or sources where these are known")
    share: Unit = Field(description="of positive ones")
    share_ci: Interval
    p_value: Unit = Field(description="where chance favours positive signs by at most `odds` to one")
    p_value_holm: Unit = Field(description="corrected for the number of attacks tried")
    p_value_alike: Unit = Field(description="where mirror images are exactly as likely")
    odds: Annotated[float, Field(ge=1)] = Field(description="as often as negative, unseen pictures may be positive")
    odds_from: Literal["assumed", "reference", "control model"]
    n_reference: Count = Field(description="pictures with a sign that the odds were learnt from")
    n_reference_positive: Count
    n_reference_flipped: Count | None = Field(
        default=None,
        exclude_if=_is_none,
        description="signs among these that are flipped apart, where sources or mirrored copies hang together; the "
        "odds are the larger of those learnt from either",
    )
    n_reference_flipped_positive: Count | None = Field(default=None, exclude_if=_is_none)
    odds_explaining: Annotated[float, Field(ge=1)] | None = Field(
        description="the largest odds under which p stays at or below `level`; null where there are none"
    )
    level: Unit
    finds: bool = Field(description="whether the corrected p-value is below `level`")
    needed: Count | None = Field(description="suspects for p below `level` in four cases of five, if they are as these")


class TwinsTest(Document):
    """Published copies of pictures against kept ones, where a coin decided which is which, under the first attack."""

    commitment: str = Field(description="SHA-256 that was published before the secret")
    n: Count = Field(description="pictures with twins")
    n_kept: Annotated[int, Field(ge=1)] = Field(description="kept copies of each")
    n_whole: Count = Field(description="pictures all of whose copies have a score; others count against a finding")
    n_first: Count = Field(description="pictures whose published copy scores above all kept ones")
    expected_first: float = Field(description="as many by chance, where a model learnt from none")
    p_value: Unit = Field(description="exact, by all choices that the coins could have made")
    level: Unit
    finds: bool = Field(description="whether `p_value` is below `level`; the claim also allows for earlier runs")
    control_p_value: Unit | None = Field(
        default=None, exclude_if=_is_none, description="of the same test on the control model; missing without one"
    )
    one_run: OneRun | None = Field(
        default=None, exclude_if=_is_empty, description="only with one kept copy: neighbours differ in the copy used"
    )


class ChiralityView(Document):
    """One description of the pictures: how well it tells them from their mirror images."""

    name: str
    share: Unit = Field(description="of pictures told right by a cross-fitted classifier; 0.5 is chance")
    p_value: Unit = Field(description="of this view alone")


class Chirality(Document):
    """Whether the suspects can be told from their mirror images without the model. Where they can, as text can, mirror
    images are not as likely, and the mirror test says nothing of training."""

    n: Count = Field(description="suspects that it looked at, of near-duplicates one")
    views: tuple[ChiralityView, ...]
    p_value: Unit = Field(description="of all views together")
    level: Unit
    finds: bool
    detectable: Unit = Field(
        description="whichever view told this share right, it would have been found in four cases of five"
    )


class MemberShare(Document):
    """The share of the suspects that stands out from unseen pictures, when perhaps only some were used; the lower end
    of `ci` bounds the share of members."""

    estimate: Unit
    ci: Interval = Field(description="95 %; the lower end holds however the scores of used pictures lie")


class PowerAnalysis(Document):
    """Power analysis: how many pictures would be needed to find an effect as large as the one seen."""

    p: Unit
    power: Unit
    suspects: Count | None = Field(description="with the unseen pictures as they are; null where none suffice")
    each: Count | None = Field(description="suspects and as many unseen pictures; null without an effect")


class SetEvidence(Document):
    """Suspects as a set against unseen pictures, under one attack. Null without scored pictures on both sides."""

    p_value: Unit | None
    p_value_holm: Unit | None = Field(description="corrected for the number of attacks tried")
    n_permutations: Count | None
    effect: Unit | None = Field(description="P(suspect > unseen), ties half")
    effect_ci: Interval | None
    effect_ci_method: IntervalMethod | Literal["newcombe"] | None
    needed: PowerAnalysis | None
    part: MemberShare | None


class Cdi(Document):
    """One test of the set from all attacks together (arXiv 2411.12858)."""

    attacks: tuple[str, ...] = Field(description="their repr")
    effect: Unit = Field(description="AUC of the cross-fitted classifier")
    effect_ci: Interval
    p_value: Unit
    p_value_holm: Unit
    opposite: Unit | None = Field(
        None, exclude_if=_is_none, description="two-sided p-value of suspects scoring lower; missing in standard-1"
    )
    n_permutations: Count
    n_suspects: Count
    n_unseen: Count


class AttackAudit(Document):
    """One attack of an audit."""

    name: str
    repr: str
    set: SetEvidence
    nfe_per_picture: float | None
    seconds_per_picture: float | None
    n_suspects: Count
    n_unseen: Count
    n_tied: Count = Field(description="scored pictures whose score also occurs in the other set")
    unseen_control: UnseenControl
    n_not_scored: Count
    not_scored: tuple[Unscored, ...]
    mirror: MirrorTest | None = Field(None, exclude_if=_is_empty, description="missing where its scores have no signs")


class PictureEvidence(Document):
    """One suspect picture under the first attack."""

    picture: str
    sha256: str | None
    score: float | None
    p_value: Unit | None
    q_value: Unit | None
    near: str | None = Field(description="the near-duplicate that counts in its place, so that it has no p-value")
    reason: str | None = Field(description="why it was not scored; null when it was")


class SourceEvidence(Document):
    """How labels were dealt where scores depend on whose work a picture is, for the first attack."""

    by: Literal["between", "within"] = Field(
        description="between: whole sources are dealt; within: pictures within their source, where most suspects have "
        "unseen pictures of their own source"
    )
    n_suspect_sources: Count
    n_unseen_sources: Count
    n_suspects: Count = Field(description="pictures in the test")
    n_unseen: Count
    n_left_out: Count = Field(
        description="within: of sources without pictures of both kinds; between: unseen ones of suspects' sources"
    )
    intraclass: Unit = Field(description="intra-class correlation of the scores")
    p_value: Unit | None = Field(description="null where labels cannot be dealt")
    smallest_p: Unit | None = Field(description="what it could have been at best")
    deals: Count | None
    exact: bool | None = Field(description="whether these are all the ways to deal")


class Chosen(Document):
    """Suspects that are some of those that earlier runs on the model scored without a finding, and the test as if they
    had been chosen by these scores."""

    kept: Count = Field(description="suspects that were scored before")
    left_out: Count = Field(description="other pictures of the same runs, which are no suspects here")
    way: Literal["dropped", "added"] = Field(
        description="dropped: as many suspects as were scored before, those with the highest scores; added: as many as "
        "were left out, below all others"
    )
    p_value: Unit = Field(description="of the claim's test made so, times the tests; 1 where it cannot be made")


class SettledLists(Document):
    """The lists of pictures as they were settled before any was scored, at the moment that `run.json` names, and what
    was known of earlier runs on the model: those in folders beside this one and those in the user's own record."""

    suspects: str | None = Field(description="digest of the list")
    unseen: str | None = Field(description="digest of the list")
    asked: Count = Field(description="earlier runs that asked about more than half of these suspects")
    chosen: Chosen | None = Field(description="null where no suspect was chosen out of pictures with scores")


class Audit(Document):
    """`audit.json`: whether suspect pictures were used. Set and pictures speak of the first attack."""

    schema_version: Literal[1, 2]
    protocol: Protocol
    claim: Claim
    lead: str = Field(
        description="the test that the claim speaks of: the first attack's repr, cdi, mirror, mirror-cdi or twins"
    )
    set: SetEvidence
    cdi: Cdi | None = Field(description="null with fewer than two attacks or too few pictures")
    false_discovery_rate: Unit
    n_named: Count | None = Field(description="suspects with q_value <= false_discovery_rate; null without unseen")
    pictures: LazySequence[PictureEvidence]
    n_not_listed: Count = Field(
        0, exclude_if=_is_empty, description="suspects that are in scores.parquet alone; missing where all are listed"
    )
    unseen_score_quantiles: dict[str, float]
    attacks: tuple[AttackAudit, ...]
    blind: Blind
    duplicates: Duplicates
    mirror: MirrorTest | None = Field(
        None, exclude_if=_is_empty, description="that of the first attack, or of all where the claim speaks of these"
    )
    mirror_together: MirrorTest | None = Field(
        None, exclude_if=_is_empty, description="that of all attacks together, missing with fewer than two"
    )
    chirality: Chirality | None = Field(None, exclude_if=_is_empty, description="missing without a mirror test")
    twins: TwinsTest | None = Field(None, exclude_if=_is_empty, description="missing without twins")
    randomised: Randomised | None = None
    prompt_controls: tuple[AuditPromptControl, ...] = Field((), exclude_if=_is_empty, description="missing where none")
    asked: ConditioningControl | None = Field(None, exclude_if=_is_empty, description="missing where not recorded")
    listing: SettledLists | None = Field(None, exclude_if=_is_empty, description="missing where not recorded")
    sources: SourceEvidence | None = Field(None, exclude_if=_is_empty, description="missing where none are known")
    control_models: tuple[ModelControl, ...] = Field((), exclude_if=_is_empty, description="missing without a model")
    sensitivity: tuple[Sensitivity, ...] = Field((), exclude_if=_is_empty, description="missing where not made")
    flags: tuple[Flag, ...]

    @property
    def by_mirror(self) -> bool:
        """Whether the claim compares pictures with views of themselves."""
        return self.lead in BY_MIRROR


def to_json(document: Document) -> str:
    """The document as JSON text, fields always in the same order, lists of numbers on one line, ending in a newline."""
    return "".join(json_parts(document))


def json_parts(document: Document) -> Iterator[str]:
    """The text of `to_json` in parts, none of which grows with the number of pictures."""
    rest, listings = _apart(document)
    for marker, listing in listings.items():
        before, rest = rest.split(marker)
        yield before
        yield from _listed(listing, before[before.rindex("\n") :].partition('"')[0])
    yield rest + "\n"


def as_data(document: Document) -> dict[str, Any]:
    """The document as its JSON is read, but with every LazySequence as it is."""
    text, listings = _apart(document)
    known = {marker.strip('"'): listing for marker, listing in listings.items()}

    def put_back(found: dict[str, Any]) -> dict[str, Any]:
        return {key: known.get(value, value) if isinstance(value, str) else value for key, value in found.items()}

    found: dict[str, Any] = json.loads(text, object_hook=put_back)
    return found


def _apart(document: Document) -> tuple[str, dict[str, LazySequence[Any]]]:
    """The document as JSON text with a marker in place of every LazySequence, and these, in order."""
    listings: dict[str, LazySequence[Any]] = {}

    def marked(listing: LazySequence[Any]) -> str:
        marker = uuid4().hex  # no text of a document can hold it
        listings[f'"{marker}"'] = listing
        return marker

    return _on_one_line(document.model_dump_json(indent=2, context=marked)), listings


def _listed(listing: LazySequence[Document], line: str) -> Iterator[str]:
    """A LazySequence as JSON; line: a line break and the indentation of the line that it begins on."""
    if not len(listing):
        yield "[]"
        return
    between = "["
    for block in listing.blocks():
        text = _listing_of(listing.kind).dump_json(block, indent=2).decode()
        yield between + _on_one_line(text.removeprefix("[").removesuffix("\n]").replace("\n", line))
        between = ","
    yield line + "]"


@cache
def _listing_of(kind: type[Document]) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]  # made while the program runs


def _on_one_line(text: str) -> str:
    """Lists of numbers on one line each."""
    return NUMBERS.sub(lambda found: "[" + ", ".join(found[0][1:-1].replace(",", " ").split()) + "]", text)
