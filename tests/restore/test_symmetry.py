"""The exact denoiser of a symmetric distribution remembers nothing, and says the same of a picture and its mirror."""

from dataclasses import replace

import pytest
import torch

from trainedon.attacks import parse_attacks


@pytest.mark.parametrize("spec", ["symmetric(loss)", "drc-hide(steps=3, encoder=pixel, symmetries=all)"])
def test_a_model_without_memory_tells_nothing(gaussian, spec):
    target = replace(gaussian, mean=torch.zeros(16))
    pixels = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.2
    (attack,) = parse_attacks(spec)
    assert abs(attack.score(target, pixels)).max() < 1e-3
    lopsided = replace(gaussian, mean=torch.linspace(-0.5, 0.5, 16))
    assert abs(attack.score(lopsided, pixels)).max() > 0.01
