"""Class labels for pictures that come without, by the audited model's own judgement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from trainedon.attacks import Progress
from trainedon.noise import NoiseStream
from trainedon.pictures import Entry, Item
from trainedon.pictures.rendering import DEFAULT, Rendering
from trainedon.precise import double
from trainedon.runs.engine import SHARD
from trainedon.runs.scorer import read_batch
from trainedon.targets import Target


def infer_labels(
    target: Target,
    items: Sequence[Item],
    entries: Sequence[Entry],
    places: Sequence[int],
    progress: Progress,
    rendering: Rendering = DEFAULT,
) -> dict[str, int]:
    """The class under which the model itself predicts each picture's noise best, digest -> label.

    For a class-conditional model and the pictures without labels, at `places`. One evaluation a class and draw, four
    draws at timesteps spread over the path; the same noise for every class.
    """
    labels: dict[str, int] = {}
    for start in range(0, len(places), SHARD):
        chosen = places[start : start + SHARD]
        part = [items[i] for i in chosen]
        batch = read_batch(target, part, [entries[i] for i in chosen], rendering)
        states = target.encode(batch.pixels.to(target.device))
        errors = np.zeros((len(part), target.classes or 0))
        for draw, t in enumerate(map(target.path.like_ddpm, (100, 300, 500, 700))):
            # keys of its own, so that an attack's noise is none of that by which the class was chosen
            keys = [f"class {digest}" for digest in batch.sha256]
            eps = NoiseStream(keys, [draw] * len(part), target.shape, seed=0, device=target.device).next()
            x_t = target.noised(states, t, eps)
            for label in range(errors.shape[1]):
                with torch.no_grad():
                    answer = target.denoise(x_t, t, torch.full((len(part),), label, device=target.device))
                errors[:, label] += double((answer.noise - eps).square()).flatten(1).mean(1).cpu().numpy()
        labels |= {str(item.sha256): int(best) for item, best in zip(part, errors.argmin(1), strict=True)}
        progress("class labels", start + len(part), len(places))
    return labels
