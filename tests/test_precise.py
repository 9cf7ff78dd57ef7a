"""Double precision where the device lacks it: as if the CPU were such a device."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import trainedon
from trainedon import precise
from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run

SPECS = ["loss", "pia", "secmi", "rise(move=fade)", "curvature(probes=1)", "pfami", "rediffuse(n=2, metric=ssim)"]


def test_double_is_made_on_the_cpu_where_the_device_lacks_it(monkeypatch):
    class Elsewhere:
        """A tensor on a device without float64."""

        device = torch.device("mps")

        def cpu(self):
            return torch.ones(2)

        def double(self):
            raise TypeError("no float64 here")

    found = precise.double(Elsewhere())
    assert found.dtype == torch.float64 and found.device.type == "cpu"
    assert precise.double(torch.ones(2)).dtype == torch.float64


@pytest.mark.parametrize("spec", SPECS)
def test_scores_are_the_same_by_way_of_the_cpu(spec, target, batch_of, monkeypatch):
    (attack,) = parse_attacks(spec)
    expected = run(attack, target, batch_of(3)).scores
    monkeypatch.setattr(precise, "LACKING", ("cpu",))
    assert np.array_equal(run(attack, target, batch_of(3)).scores, expected)


def test_a_mean_over_draws_does_not_depend_on_the_pictures_beside(target, batch_of):
    (attack,) = parse_attacks("loss(draws=40)")
    batch = batch_of(8)
    with target.sharing():  # the network's answers, so that these are the same to the last digit
        together = run(attack, target, batch).scores
        alone = [run(attack, target, batch[i : i + 1]).scores for i in range(8)]
    assert np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("k", [1, 2, 16, 17, 40, 300])
def test_a_mean_is_pytorchs_where_vectors_are_full_and_keeps_its_order_elsewhere(k):
    parts = [torch.rand(16, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(k)]
    torch.testing.assert_close(precise.mean_of(parts), torch.stack(parts).mean(0), rtol=1e-15, atol=0)
    assert torch.equal(precise.mean_of([part[:3] for part in parts]), precise.mean_of(parts)[:3])
    assert torch.equal(precise.mean_of(torch.stack(parts)), precise.mean_of(parts))


def test_tensors_that_may_lie_on_the_device_are_made_double_in_one_place():
    """Elsewhere `.double()` follows `.cpu()`, or the tensor never was on the device."""
    never = {"precise.py", "path.py", "own_noise.py", "quantile.py", "secmi_nn.py", "recognised.py"}
    for path in Path(trainedon.__file__).parent.rglob("*.py"):
        exempt = path.name in never or path.parent.name == "adapters"  # which are fused before a model is placed
        found = [] if exempt else re.findall(r".*\.double\(\).*", path.read_text("utf-8"))
        assert all(line.count(".cpu()") >= line.count(".double()") for line in found), f"{path}: {found}"
