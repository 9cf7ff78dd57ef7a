"""Degrade and restore: every degradation of every region, several times, each time with noise of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainedon.degrade import Degradation, Hide
from trainedon.noise import NoiseStream, Still
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer
from trainedon.targets import Target

# For each degradation the noise that was drawn, so that every view of the model meets the same; None keeps none.
Drawn = list[dict[int, torch.Tensor] | None]


@dataclass(frozen=True)
class Restoring:
    """How pictures are degraded and restored. Whoever has an equal one makes the same restorations.

    rounds: how often each degradation of each region is restored. The noise of a restoration follows from the picture's
    digest, the seed, and the restoration's number.
    """

    degradations: tuple[Degradation, ...]
    restorer: Restorer
    steps: int
    rounds: int
    seed: int

    def drawn(self, shared: bool) -> Drawn:
        """Where noise is kept that several views are to share."""
        return [{} if shared else None for _ in self.degradations]

    def restore_once(
        self, target: Target, batch: Batch, regions: Sequence[torch.Tensor], drawn: Drawn | None = None
    ) -> torch.Tensor:
        """All rounds of `restore`, or while the target is `sharing` what they gave before: attacks that differ only in
        what they compare have their restorations in common."""
        if target.memo is None:
            return self.restore(target, batch, regions, drawn=drawn)
        contents = _contents(batch.pixels, *regions)
        key = ("restored", target.identity.digest, repr(self), batch.sha256, batch.condition, contents)
        return target.shared(key, lambda: self.restore(target, batch, regions, drawn=drawn))

    def restore(
        self,
        target: Target,
        batch: Batch,
        regions: Sequence[torch.Tensor],
        rounds: Sequence[int] | None = None,
        drawn: Drawn | None = None,
    ) -> torch.Tensor:
        """Restorations of some rounds, of all where none are named.

        regions: a bool (n, h, w) each, True = hidden. drawn: noise of the same restorations in another view.
        Returns latents or pixels, float32 (n, regions, degradations * rounds, c, h, w).

        In latents the kept part is encoded by itself. An autoencoder's latents depend on their surroundings everywhere:
        those of the whole picture would give the hidden part away.
        """
        rounds = range(self.rounds) if rounds is None else rounds
        n, rows = len(batch), len(regions) * len(rounds)
        condition = batch.condition.repeat(rows)
        hidden = side_by_side([target.onto_states(region) for region in regions], len(rounds))
        original = side_by_side([_kept_part(target, batch, region) for region in regions], len(rounds))
        parts = []
        streams = self._streams(target, batch, len(regions), rounds, drawn or self.drawn(shared=False))
        for degradation, noise in zip(self.degradations, streams, strict=True):
            given = [target.encode(degradation(batch, region, seed=self.seed)) for region in regions]
            masked = Masked(original, side_by_side(given, len(rounds)), hidden, condition, degradation.known_tiles)
            start = degradation.start(target.path)
            restored = self.restorer.restore(target, masked, noise, steps=self.steps, start=start)
            parts.append(restored.unflatten(0, (n, len(regions), len(rounds))))
        return torch.cat(parts, dim=2)

    def _streams(
        self, target: Target, batch: Batch, regions: int, rounds: Sequence[int], drawn: Drawn
    ) -> list[NoiseStream]:
        """The noise of each degradation: of all at once, as the first of each may be drawn while the network works."""
        keys = [sha256 for sha256 in batch.sha256 for _ in range(regions * len(rounds))]
        return [
            Still(len(keys), target.shape, target.device)
            if degradation.still
            else NoiseStream(keys, numbers * len(batch), target.shape, seed=self.seed, device=target.device, kept=kept)
            for degradation, numbers, kept in zip(self.degradations, self._numbers(regions, rounds), drawn, strict=True)
        ]

    def _numbers(self, regions: int, rounds: Sequence[int]) -> list[list[int]]:
        """For each degradation the numbers of its restorations, region by region; every restoration has its own."""
        numbers = np.arange(len(self.degradations) * regions * self.rounds)
        chosen = numbers.reshape(-1, regions, self.rounds)[..., list(rounds)]
        return chosen.reshape(len(self.degradations), -1).tolist()


def side_by_side(by_region: Sequence[torch.Tensor], times: int) -> torch.Tensor:
    """One tensor (n, ...) a region -> (n * regions * times, ...), a picture's rows side by side."""
    return torch.stack(list(by_region), dim=1).repeat_interleave(times, dim=1).flatten(0, 1)


def _kept_part(target: Target, batch: Batch, region: torch.Tensor) -> torch.Tensor:
    return target.encode(Hide()(batch, region)) if target.latent else batch.pixels


def _contents(*tensors: torch.Tensor) -> bytes:
    """One digest of the contents of tensors."""
    found = hashlib.blake2b(digest_size=20)
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.digest()
