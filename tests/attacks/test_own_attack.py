"""The worked example of CONTRIBUTING.md: an attack of one's own, which keeps the contract on every space."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tiny
from examples import blocks

import trainedon.attacks
from trainedon.targets import load_target

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def own_attack(monkeypatch):
    """The class that the page defines; it is left out of the registry, which other tests look at."""
    monkeypatch.setattr(trainedon.attacks, "register", lambda kind: kind)
    (code,) = [code for _, code in blocks(CONTRIBUTING) if "class OneStep" in code]
    module = ModuleType("onestep")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, str(CONTRIBUTING), "exec"), vars(module))
    return module.OneStep


@pytest.mark.parametrize("kind", ["epsilon", "latent, KL", "stable diffusion"])
def test_the_example_keeps_the_contract_on_pixels_and_latents(kind, own_attack, target_folders, batch_of):
    target, attack = load_target(target_folders[kind]), own_attack(t=100)
    batch = batch_of(3)
    if target.conditioning == "caption":
        batch = replace(batch, captions=tiny.CAPTIONS[:3])
    with target.counted() as spent:
        scores = attack.score(target, batch)
    assert scores.shape == (3,) and np.isfinite(scores).all() and len(set(scores)) == 3
    assert spent.forward == 3 * attack.cost(target).forward
    np.testing.assert_allclose(attack.score(target, batch.take([2, 0])), scores[[2, 0]], rtol=1e-5)
    assert repr(attack) == "OneStep(t=100, seed=0)"
