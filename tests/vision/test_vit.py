import numpy as np
import pytest
import torch

from trainedon.degrade import Attention
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.vision import vit as vision


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=4
    )
    folder = tmp_path_factory.mktemp("vit")
    model = ViTModel(config, add_pooling_layer=False)
    for parameter in model.parameters():
        parameter.data.mul_(20)  # far from uniform attention
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def registers(tmp_path_factory):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=4, num_register_tokens=3
    )
    folder = tmp_path_factory.mktemp("registers")
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    return str(folder)


def test_cls_attention_is_that_of_the_last_layer(vit, batch_of):
    pixels = batch_of(3, size=32).pixels
    network = vision.load_vision(vit, torch.device("cpu"))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in vision.IMAGENET)
    with torch.no_grad():
        attention = network(pixel_values=((pixels + 1) / 2 - mean) / std, output_attentions=True).attentions[-1]
    expected = attention[:, :, 0, 1:].mean(1).view(3, 1, 8, 8)
    expected = torch.nn.functional.interpolate(expected, (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(vision.cls_attention(vit, pixels), expected)


@pytest.mark.parametrize("which", ["vit", "registers"])
def test_attention_region_of_a_vit(which, request, batch_of):
    roi = Attention(0.2, source=request.getfixturevalue(which))
    batch = batch_of(5, size=24)
    masks = roi.mask(batch)
    assert masks.sum(dim=(1, 2)).tolist() == [round(0.2 * 576)] * 5
    assert torch.equal(torch.cat([roi.mask(batch[i : i + 1]) for i in range(5)]), masks)
    assert len({mask.numpy().tobytes() for mask in masks}) > 1
    grey = Batch(batch.pixels[:, :1], batch.sha256)
    assert roi.mask(grey).shape == (5, 24, 24)


def test_in_chunks_does_not_see_the_batch():
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 40)
    rows = torch.randn(21, 300)
    whole = vision.in_chunks(layer, rows)
    torch.testing.assert_close(whole, layer(rows).detach())
    for n in (1, 2, 7, 8, 9):
        assert torch.equal(vision.in_chunks(layer, rows[:n]), whole[:n])


def test_standardised_uses_levels_from_0_to_1():
    white = vision.standardised(torch.ones(1, 3, 1, 1), vision.IMAGENET).flatten()
    np.testing.assert_allclose(white, (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-6)


def test_what_is_no_vision_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a folder nor a hub id"):
        vision.load_vision(str(tmp_path / "missing" / "model"), torch.device("cpu"))
    with pytest.raises(UserError, match="cannot be loaded"):
        vision.load_vision(str(tmp_path), torch.device("cpu"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="'bert' model: one of vit"):
        vision.load_vision(str(tmp_path), torch.device("cpu"))


def test_pickled_and_incomplete_weights_are_refused(vit, tmp_path):
    from pathlib import Path

    from safetensors.torch import load_file, save_file

    config = (Path(vit) / "config.json").read_text()
    state = load_file(Path(vit) / "model.safetensors")
    pickled, partial = tmp_path / "pickled", tmp_path / "partial"
    for folder in (pickled, partial):
        folder.mkdir()
        (folder / "config.json").write_text(config)
    torch.save(state, pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        vision.load_vision(str(pickled), torch.device("cpu"))
    key = next(key for key in state if "attention" in key)
    del state[key]
    save_file(state, partial / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks weights"):
        vision.load_vision(str(partial), torch.device("cpu"))
