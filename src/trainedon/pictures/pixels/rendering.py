"""How a picture file becomes the pixels that a model is shown: the choices on which training programs differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from trainedon.errors import UserError

AUTO = "auto"
ALPHAS = {
    "white": "transparency flattened on white",
    "black": "transparency flattened on black",
    "drop": "transparency left out, so that what lies below it shows",
}
ORIENTATIONS = {"exif": "turned upright by EXIF", "stored": "left as stored, whatever EXIF says"}
FITS = {
    "crop": "shorter side to {size} pixels by {filter}, centre cut out",
    "squash": "both sides to {size} pixels by {filter}, whatever the shape",
    "pad": "longer side to {size} pixels by {filter}, centred between black bars",
}
RESAMPLES = {"lanczos": "Lanczos", "bicubic": "bicubic", "bilinear": "bilinear", "box": "box", "nearest": "nearest"}


@dataclass(frozen=True)
class Rendering:
    """alpha: `white`, `black` (what transparency is flattened on) or `drop`. orientation: `exif` or `stored`. fit:
    `crop`, `squash` or `pad`. resample: the filter.

    alpha and orientation may be `auto`: nobody said. Pictures are read as with `white` and `exif` then, unless a run
    finds that its model knows them otherwise. Raises UserError for anything else.
    """

    alpha: str = AUTO
    orientation: str = AUTO
    fit: str = "crop"
    resample: str = "lanczos"

    def __post_init__(self) -> None:
        known = {"alpha": (AUTO, *ALPHAS), "orientation": (AUTO, *ORIENTATIONS), "fit": FITS, "resample": RESAMPLES}
        for name, value in asdict(self).items():
            if value not in known[name]:
                raise UserError(f"--{name} {value!r} is not known: choose from {', '.join(known[name])}")

    @property
    def settled(self) -> Rendering:
        """What pictures are read with: `white` and `exif` where nobody said."""
        return replace(
            self,
            alpha=next(iter(ALPHAS)) if self.alpha == AUTO else self.alpha,
            orientation=next(iter(ORIENTATIONS)) if self.orientation == AUTO else self.orientation,
        )

    def said(self) -> dict[str, str]:
        """The choices that are not the default."""
        return {name: value for name, value in asdict(self).items() if value != getattr(DEFAULT, name)}

    def words(self, height: int, width: int) -> str:
        """How pictures are brought to the model's size; and what else is done with them, where that was said."""
        size = f"{height} x {width}"
        told = [FITS[self.fit].format(size=size, filter=RESAMPLES[self.resample])]
        told += [ALPHAS[self.alpha]] if self.alpha != AUTO else []
        told += [ORIENTATIONS[self.orientation]] if self.orientation != AUTO else []
        return "; ".join(told)


DEFAULT = Rendering()
