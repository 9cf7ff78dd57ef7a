"""The restorer that asks an inpainting network."""

import pytest
import tiny
import torch

from trainedon.errors import UserError
from trainedon.restore import Inpaint, Masked
from trainedon.targets import load_target


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return load_target(tiny.save("inpainting", tmp_path_factory.mktemp("inpainting")))


def masked(kept: float) -> Masked:
    states = torch.linspace(-1, 1, 3 * 4 * 8 * 8).view(3, 4, 8, 8) * kept
    hidden = torch.zeros(3, 8, 8, dtype=torch.bool)
    hidden[:, 2:5, 3:7] = True
    return Masked(states, torch.zeros_like(states), hidden)


def test_the_network_is_told_what_is_hidden_and_what_is_kept(target, stream, monkeypatch):
    given, told = masked(1.0), []
    ask = target.ask
    monkeypatch.setattr(target, "ask", lambda network, x, t, condition: told.append(x) or ask(network, x, t, condition))
    restored = Inpaint().restore(target, given, stream(range(3), target.shape), steps=2)
    assert torch.equal(told[0][:3, 4], given.hidden.float()) and torch.equal(told[1][:3, 5:], given.original)
    kept = ~given.hidden[:, None].expand_as(restored)
    assert torch.equal(restored[kept], given.original[kept]) and torch.isfinite(restored).all()
    assert (restored[~kept] != given.original[~kept]).float().mean() > 0.9


def test_what_is_painted_depends_on_what_is_kept(target, stream):
    one, other = (
        Inpaint().restore(target, masked(kept), stream(range(3), target.shape), steps=2) for kept in (1.0, 0.5)
    )
    hidden = masked(1.0).hidden[:, None].expand_as(one)
    assert (one[hidden] != other[hidden]).float().mean() > 0.3


def test_alone_the_network_is_told_that_all_is_hidden(target, monkeypatch):
    told = []
    ask = target.network.forward
    monkeypatch.setattr(target.network, "forward", lambda x, *a, **k: told.append(x) or ask(x, *a, **k))
    target.denoise(torch.zeros(2, *target.shape), 500)
    assert told[-1].shape[1] == 9 and (told[-1][:, 4] == 1).all()
    grey = target.encode(torch.zeros(1, *target.picture))
    torch.testing.assert_close(told[-1][:1, 5:], grey)


def test_other_networks_are_refused(tmp_path):
    target = load_target(tiny.save("stable diffusion", tmp_path))
    with pytest.raises(UserError, match="no inpainting network"):
        Inpaint().check(target)
