"""Activations and self-attention of the audited network."""

import pytest
import torch

from trainedon.condition import Classes
from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.networks.attending import Watch, attentions


def test_features_are_those_of_the_layer(saved, noisy):
    target = load_target(saved(), rows=8)
    assert target.layers() == ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"]
    shapes = {name: target.features(noisy, 50, name).shape for name in target.layers()}
    assert shapes == {
        "down_blocks.0": (11, 4, 4, 4),
        "down_blocks.1": (11, 8, 4, 4),
        "mid_block": (11, 8, 4, 4),
        "up_blocks.0": (11, 8, 8, 8),
        "up_blocks.1": (11, 4, 8, 8),
    }
    default = target.features(noisy, 50)
    assert default.dtype == torch.float32 and not default.requires_grad
    assert torch.equal(default, target.features(noisy, 50, "up_blocks.1"))
    assert not torch.equal(default, target.features(noisy, 500))


def test_features_see_the_picture_without_noise(saved, noisy):
    """The last block's features, put through the network's head, are its answer for `alpha_t x`."""
    target = load_target(saved())
    alpha, _ = target.path.at(400, noisy)
    head = target.features(noisy, 400, "up_blocks.1")
    answer = target.network.conv_out(target.network.conv_act(target.network.conv_norm_out(head)))
    torch.testing.assert_close(answer, target.denoise(alpha * noisy, 400).noise)


def test_no_hook_stays_behind(saved, noisy):
    target = load_target(saved())
    target.features(noisy, 50)
    target.attention(noisy, 50)
    with pytest.raises(UserError, match=r"no layer .no_such_layer."):
        target.features(noisy, 50, "no_such_layer")
    assert not any(module._forward_hooks for module in target.network.modules())


def test_attention_is_a_share_for_each_place(saved, noisy):
    target = load_target(saved(), rows=8)
    attention = target.attention(noisy, 50)
    assert attention.shape == (11, 8, 8) and attention.dtype == torch.float32
    assert (attention > 0).all() and torch.isfinite(attention).all()
    # each query hands out a share of 1 among the 4 x 4 places, and enlarging keeps the mean
    torch.testing.assert_close(attention.mean((1, 2)), torch.full((11,), 1 / 16), rtol=0.05, atol=0)
    assert attention.std((1, 2)).min() > 0


def test_attention_finds_the_place_that_all_look_at(saved):
    """Keys that grow with the brightness in place, and queries that ask for them: attention lies where the light is."""
    target = load_target(saved())
    module = attentions(target.network)[0]
    with torch.no_grad():
        module.group_norm = None
        for linear in (module.to_q, module.to_k):
            linear.weight.zero_()
            linear.bias.zero_()
        module.to_q.bias.fill_(1)
        module.to_k.weight[:, 0] = 4
    hidden = torch.zeros(2, 8, 4, 4)
    hidden[0, 0, 1, 2] = hidden[1, 0, 3, 0] = 3
    watch = Watch((4, 4), 16)
    with watch.over(target.network), torch.no_grad():
        module(hidden)
    (received,) = watch.maps
    received = received[:, 0]
    assert received[0].argmax() == 1 * 4 + 2 and received[1].argmax() == 3 * 4 + 0
    assert received[0, 1, 2] > 0.9
    torch.testing.assert_close(received.sum((1, 2)), torch.ones(2))


def test_a_network_without_attention_says_so_and_spends_nothing(saved, noisy):
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "add_attention": False}
    target = load_target(saved(blocks))
    with target.counted() as spent:
        assert target.attention(noisy, 50) is None
    assert spent.forward == 0


def test_labels_change_what_is_seen(saved, noisy):
    target = load_target(saved({"num_class_embeds": 2}))
    zeros, ones = (Classes(torch.full((11,), label)) for label in (0, 1))
    assert not torch.equal(target.features(noisy, 50, condition=zeros), target.features(noisy, 50, condition=ones))
    assert not torch.equal(target.attention(noisy, 50, zeros), target.attention(noisy, 50, ones))


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (2, 1, 1, 5), (1, 1, 5, 5), (5, 5)])
def test_a_mask_of_attention_is_heeded_whatever_its_shape(shape):
    query, key = torch.randn(2, 2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.4
    mask[..., 0] = True
    watch = Watch((1, 5), 5, inside=True)
    watch._see(query, key, attn_mask=mask)
    scores = (query @ key.transpose(-1, -2) / 2).masked_fill(~mask, -torch.inf)
    expected = scores.softmax(-1).mean(1).mean(1)  # (n, k)
    torch.testing.assert_close(watch.maps[0][:, 0, 0], expected)
