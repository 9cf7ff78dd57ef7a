"""The model that ships with the package, and what is drawn for it."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = "embedded"  # what it is called where a model is named


def model_folder() -> Path:
    """The diffusers folder of the embedded model, with its manifest, recipe and training log."""
    return Path(__file__).parent / "model"
