"""What `evaluation.json` and `audit.json` hold. Strict: unknown fields, NaN and infinities are refused."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Interval = tuple[Unit, Unit]
IntervalMethod = Literal["delong", "bound"]
Correlation = Annotated[float, Field(ge=-1, le=1)]
NUMBERS = re.compile(r"\[\n[-+.,eEnul\d\s]*\]")  # a list of numbers and nulls; no string holds a line break


class Document(BaseModel):
    """Frozen, with every field known and every number finite."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Flag(Document):
    """Something that a reader must know before using the numbers."""

    code: str
    raised_because: str
    meaning: str
    remedy: str


class Blind(Document):
    """The blind baseline: can the two sets be told apart without the model? Null where it could not be run."""

    auc: Unit | None
    auc_ci: Interval | None
    p_value: Unit | None
    level: Unit
    separates: bool | None
    codec_mismatch: bool | None
    resolution_mismatch: bool | None
    n_pictures: Count = Field(description="suspects or members that it looked at")
    n_unseen: Count
    reason: str | None = Field(description="why it was not run; null when it was")


class Rate(Document):
    """TPR at one FPR level. All numbers are null when the unseen pictures are too few; `note` then says so."""

    tpr: Unit | None
    tpr_ci: Interval | None
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


class AttackEvaluation(Document):
    """One attack against pictures whose membership is known."""

    name: str
    repr: str
    auc: Unit | None
    auc_ci: Interval | None
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
    pictures: tuple[Named, ...] = Field(description="members that all naming attacks scored, most often named first")


class Evaluation(Document):
    """`evaluation.json`: how much a model leaks, ground truth known."""

    schema_version: Literal[1] = 1
    protocol: Literal["standard-1"] = "standard-1"
    attacks: tuple[AttackEvaluation, ...]
    agreement: Agreement | None = None
    blind: Blind
    flags: tuple[Flag, ...]


class Claim(Document):
    """What may be said, on a ladder from 0 to 4, and the rule that put it there."""

    level: Annotated[int, Field(ge=0, le=4)]
    sentence: str
    because: str


class SetEvidence(Document):
    """Suspects as a set against unseen pictures, under one attack. Null without scored pictures on both sides."""

    p_value: Unit | None
    p_value_holm: Unit | None = Field(description="corrected for the number of attacks tried")
    n_permutations: Count | None
    effect: Unit | None = Field(description="P(suspect > unseen), ties half")
    effect_ci: Interval | None
    effect_ci_method: IntervalMethod | None


class AttackAudit(Document):
    """One attack of an audit."""

    name: str
    repr: str
    set: SetEvidence
    nfe_per_picture: float | None
    seconds_per_picture: float | None
    n_suspects: Count
    n_unseen: Count
    n_not_scored: Count
    not_scored: tuple[Unscored, ...]


class PictureEvidence(Document):
    """One suspect picture under the first attack."""

    picture: str
    sha256: str | None
    score: float | None
    p_value: Unit | None
    q_value: Unit | None
    reason: str | None = Field(description="why it was not scored; null when it was")


class Audit(Document):
    """`audit.json`: whether suspect pictures were used. Claim, set and pictures speak of the first attack."""

    schema_version: Literal[1] = 1
    protocol: Literal["standard-1"] = "standard-1"
    claim: Claim
    set: SetEvidence
    false_discovery_rate: Unit
    n_named: Count | None = Field(description="suspects with q_value <= false_discovery_rate; null without unseen")
    pictures: tuple[PictureEvidence, ...]
    unseen_score_quantiles: dict[str, float]
    attacks: tuple[AttackAudit, ...]
    blind: Blind
    flags: tuple[Flag, ...]


def to_json(document: Document) -> str:
    """The document as JSON text, fields always in the same order, lists of numbers on one line, ending in a newline."""
    text = document.model_dump_json(indent=2)
    return NUMBERS.sub(lambda found: "[" + ", ".join(found[0][1:-1].replace(",", " ").split()) + "]", text) + "\n"
