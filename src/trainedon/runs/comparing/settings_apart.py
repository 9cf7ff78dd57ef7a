"""What two runs did not do alike, beside having asked another model."""

from __future__ import annotations

from collections.abc import Iterator

from trainedon.evidence.studies.before_after import SettingDifference
from trainedon.formats import RunRecord


def settings_apart(before: RunRecord, after: RunRecord) -> tuple[SettingDifference, ...]:
    """Every setting that changes scores, or what they mean, and is not the same in both."""
    told = zip(_settings(before), _settings(after), strict=True)
    return tuple(
        SettingDifference(what=what, before=_said(first), after=_said(second))
        for (what, first), (_, second) in told
        if first != second
    )


def _settings(record: RunRecord) -> Iterator[tuple[str, object]]:
    model, choices, rendering = record.model, record.choices, record.rendering
    yield "kind of model", model.family
    yield "size of pictures", model.shape
    yield "size of latents", model.latents
    yield "what the model predicts", model.prediction
    yield "conditioning", model.conditioning
    for name in ("alpha", "orientation", "fit", "resample"):
        yield f"how pictures are read: {name}", rendering and getattr(rendering, name)
    yield "caption of all pictures", choices.caption
    yield "classes", choices.labels
    yield "seed", choices.seed
    yield "precision", choices.precision
    yield "compiled", choices.compiled
    yield "type of device", record.identity.device
    yield "protocol", record.identity.protocol
    yield "version of trainedon", record.versions.get("trainedon")


def _said(value: object) -> str:
    return "not recorded" if value is None else str(value)
