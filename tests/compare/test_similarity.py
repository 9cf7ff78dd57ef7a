"""What every similarity must keep, whatever it looks at."""

import pytest
import torch

from trainedon.compare import (
    Clip,
    DinoV2,
    EfficientNetLite0,
    Encoder,
    Ensemble,
    Own,
    Pixel,
    SFace,
    Ssim,
    efficientnet,
)
from trainedon.degrade import Center
from trainedon.errors import UserError

CLASSES = {kind.name: kind for kind in (Own, EfficientNetLite0, SFace, DinoV2, Clip, Pixel, Ssim)}
SPATIAL = ("own", "efficientnet-lite0", "dinov2", "pixel", "ssim")
TABLE = [
    *((name, scope) for name in SPATIAL for scope in ("region", "crop")),
    *((name, "crop") for name in ("sface", "clip")),
    *((name, "picture") for name in CLASSES),
    ("ensemble", "region"),
]
# A pass of EfficientNet takes a fifth of a second: one scope of it in every run.
TABLE = [
    pytest.param(name, scope, marks=[pytest.mark.slow] * (name == "efficientnet-lite0" and scope != "region"))
    for name, scope in TABLE
]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """EfficientNet sees pictures at 128 pixels, as runs have it look at them; at 224 it takes five times as long."""
    monkeypatch.setattr(efficientnet, "SIDE", 128)


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7)
    folder = tmp_path_factory.mktemp("dino")
    Dinov2Model(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    tiny = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {**tiny, "image_size": 32, "patch_size": 8}
    text = {**tiny, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def build(dino, clip):
    def make(name, scope):
        if name == "ensemble":
            return Ensemble((Own(scope=scope), Pixel(scope=scope)))
        sources = {"dinov2": (dino,), "clip": (clip,)}
        similarity = CLASSES[name](*sources.get(name, ()), scope=scope)
        try:
            similarity.check_installed()
        except UserError as error:
            pytest.skip(str(error))
        return similarity

    return make


@pytest.mark.parametrize(("name", "scope"), TABLE)
def test_the_contract_of_every_similarity(name, scope, build, target, batch_of):
    similarity = build(name, scope)
    originals, others = batch_of(5).pixels, batch_of(5, seed=1).pixels
    mask = Center(0.3).mask(batch_of(5))
    near = torch.where(mask.unsqueeze(1), 0.9 * originals + 0.1 * others, originals)
    far = torch.where(mask.unsqueeze(1), others, originals)

    with target.counted() as spent:
        code = similarity.encode(target, originals, mask)
    assert spent.forward == 5 * similarity.evaluations()
    same = similarity.compare(code, code)
    to_near = similarity.similarity(target, originals, near, mask)
    to_far = similarity.compare(code, similarity.encode(target, far, mask))
    assert to_near.shape == (5,) and to_near.dtype == torch.float64 and to_near.isfinite().all()
    assert (same >= to_near - 1e-12).all()
    assert to_near.mean() > to_far.mean()
    torch.testing.assert_close(similarity.compare(code, similarity.encode(target, near, mask)), to_near, rtol=0, atol=0)

    alone = similarity.similarity(target, originals[3:4], near[3:4], mask[3:4])
    torch.testing.assert_close(alone, to_near[3:4], rtol=1e-9, atol=1e-12)
    backwards = similarity.similarity(target, originals.flip(0), near.flip(0), mask.flip(0))
    torch.testing.assert_close(backwards.flip(0), to_near, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "scope"), TABLE)
def test_grey_pictures_can_be_compared(name, scope, build, grey_target, batch_of):
    similarity = build(name, scope)
    batch = batch_of(2, channels=1)
    values = similarity.similarity(grey_target, batch.pixels, batch.pixels.flip(0), Center(0.3).mask(batch))
    assert values.shape == (2,) and values.isfinite().all()


@pytest.mark.parametrize("name", CLASSES)
def test_without_a_mask_the_whole_picture_is_compared(name, build, target, batch_of):
    first = "region" if "region" in getattr(CLASSES[name], "scopes", ("region",)) else "crop"
    a, b = batch_of(2).pixels, batch_of(2, seed=1).pixels
    everywhere = torch.ones(2, 16, 16, dtype=torch.bool)
    whole = build(name, "picture").similarity(target, a, b)
    assert torch.equal(build(name, first).similarity(target, a, b), whole)
    assert torch.equal(build(name, "picture").similarity(target, a, b, Center(0.2).mask(batch_of(2))), whole)
    if name != "dinov2":  # which has a vector of its own for whole pictures
        torch.testing.assert_close(build(name, first).similarity(target, a, b, everywhere), whole)


@pytest.mark.parametrize("name", SPATIAL)
def test_region_weighs_changes_inside_more_than_a_picture_does(name, build, target, batch_of):
    batch = batch_of(4, size=16)
    mask = Center(0.2).mask(batch)
    changed = torch.where(mask.unsqueeze(1), batch_of(4, seed=1).pixels, batch.pixels)
    region = build(name, "region").similarity(target, batch.pixels, changed, mask)
    picture = build(name, "picture").similarity(target, batch.pixels, changed, mask)
    assert region.mean() < picture.mean()


def test_cosine_is_that_of_the_vectors_and_undefined_for_none():
    class Plain(Encoder):
        name, scope = "plain", "picture"

        def features(self, target, pixels, condition):
            raise NotImplementedError

    a = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    b = torch.tensor([[0.0, 2.0], [6.0, 8.0], [-2.0, -2.0], [1.0, 0.0]])
    values = Plain().compare(a, b)
    torch.testing.assert_close(values[:3], torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64))
    assert values[3].isnan()


def test_ensemble_is_the_mean_of_its_members(target, batch_of):
    a, b = batch_of(3).pixels, batch_of(3, seed=1).pixels
    members = (Own(), Pixel(), Ssim())
    expected = torch.stack([member.similarity(target, a, b) for member in members]).mean(0)
    torch.testing.assert_close(Ensemble(members).similarity(target, a, b), expected)
    with pytest.raises(UserError, match="two similarities"):
        Ensemble((Own(),))


@pytest.mark.parametrize("kind", CLASSES.values(), ids=list(CLASSES))
def test_a_scope_that_is_not_possible_is_refused(kind):
    source = ("folder",) if kind in (DinoV2, Clip) else ()
    with pytest.raises(UserError, match="choose one of"):
        kind(*source, scope="corner")
    if kind in (SFace, Clip):
        with pytest.raises(UserError, match="choose one of picture, crop"):
            kind(*source, scope="region")
