import copy
import json
from functools import cache

import diffusers
import pytest
import tiny
import torch
from safetensors.torch import save_file

from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.adapters import adapters_of, fuse, named
from trainedon.targets.load import model_digest
from trainedon.targets.networks.families import FAMILIES, Opened

Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # 16 x 16
K = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"  # 16 x 8
CONV = "down_blocks.1.resnets.0.conv1"  # 16 x 8 x 3 x 3
POINT = "down_blocks.1.attentions.0.proj_in"  # 16 x 16 x 1 x 1


def kohya(layer, part="unet"):
    return f"lora_{part}_{layer.replace('.', '_')}"


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


@cache
def made(family):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.FAMILIES[family]()


def opened(family):
    pipeline = copy.deepcopy(made(family))
    return Opened(FAMILIES[type(pipeline).__name__], pipeline, {})


def with_adapter(family, file, *more):
    """The pipeline of a family with adapters fused into it."""
    changed = opened(family)
    fuse(changed, adapters_of((file, *more)))
    return changed.pipeline


def weight(pipeline, layer, part=None):
    part = part or ("unet" if hasattr(pipeline, "unet") else "transformer")
    return getattr(pipeline, part).get_submodule(layer).weight.detach()


def low_rank(name, out, into, r=2, kernel=(), seed=0):
    return {
        f"{name}.lora_down.weight": drawn(r, into, *kernel, seed=seed),
        f"{name}.lora_up.weight": drawn(out, r, *[1] * len(kernel), seed=seed + 1),
    }


def moved(family, pipeline):
    """Which weights are others than the family's own."""
    found = set()
    for name, part in made(family).components.items():
        if isinstance(part, torch.nn.Module):
            now = dict(getattr(pipeline, name).named_parameters())
            found |= {f"{name}.{key}" for key, old in part.named_parameters() if not torch.equal(old, now[key])}
    return found


def assert_alike(network, other):
    expected = dict(other.named_parameters())
    for key, value in network.named_parameters():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)


def double(tensors):
    return {key.rpartition(".")[2]: value.double() for key, value in tensors.items()}


def exact(family, layer, tensors, expected, tmp_path):
    """Whether the file makes of a layer what the formula makes of it, rounded once, and changes nothing else."""
    save_file(tensors, tmp_path / "a.safetensors")
    pipeline = with_adapter(family, tmp_path / "a.safetensors")
    old = weight(made(family), layer).double()
    assert torch.equal(weight(pipeline, layer), expected(old).float())
    (name,) = moved(family, pipeline)
    assert name.endswith(f".{layer}.weight")


def normed(moved, magnitude, over):
    return magnitude * moved / moved.square().sum(over, keepdim=True).sqrt()


@pytest.mark.parametrize("alpha", [None, 1.0, 3.0])
def test_a_lora_is_added_exactly(alpha, tmp_path):
    tensors = low_rank(kohya(Q), 16, 16)
    if alpha is not None:
        tensors[f"{kohya(Q)}.alpha"] = torch.tensor(alpha)
    down, up = (tensors[f"{kohya(Q)}.lora_{side}.weight"].double() for side in ("down", "up"))
    exact("stable diffusion", Q, tensors, lambda w: w + (alpha or 2.0) / 2 * (up @ down), tmp_path)


def test_a_lora_of_convolutions_is_added_exactly(tmp_path):
    name = kohya(CONV)
    tensors = low_rank(name, 16, 8, kernel=(3, 3)) | {f"{name}.alpha": torch.tensor(1.0)}
    down, up = (tensors[f"{name}.lora_{side}.weight"].double() for side in ("down", "up"))

    def expected(w):
        return w + 0.5 * (up.flatten(1) @ down.flatten(1)).reshape(16, 8, 3, 3)

    exact("stable diffusion", CONV, tensors, expected, tmp_path)
    mid = drawn(2, 2, 3, 3, seed=9)
    tensors |= {f"{name}.lora_mid.weight": mid, f"{name}.lora_down.weight": down[:, :, :1, :1].float().contiguous()}
    tucker = torch.einsum("mnxy,im,nj->ijxy", mid.double(), up.flatten(1), down[:, :, 0, 0])
    exact("stable diffusion", CONV, tensors, lambda w: w + 0.5 * tucker, tmp_path)
    for kernel in ((), (1, 1)):  # a convolution of 1 x 1 may be given as a matrix
        tensors = low_rank(kohya(POINT), 16, 16, kernel=kernel)
        down, up = (tensors[f"{kohya(POINT)}.lora_{side}.weight"].double().flatten(1) for side in ("down", "up"))
        exact("stable diffusion", POINT, tensors, lambda w, b=up, a=down: w + (b @ a)[..., None, None], tmp_path)


@pytest.mark.parametrize("layer, kernel", [(Q, ()), (K, ()), (CONV, (3, 3))])
@pytest.mark.parametrize("side", ["out", "in"])
def test_dora_is_applied_exactly(layer, kernel, side, tmp_path):
    out, into = weight(made("stable diffusion"), layer).shape[:2]
    name = kohya(layer)
    tensors = low_rank(name, out, into, kernel=kernel) | {f"{name}.alpha": torch.tensor(1.0)}
    shape = (out, 1) if side == "out" else (1, into)
    magnitude = drawn(*shape, *[1] * len(kernel), seed=5).abs() + 0.1
    down, up = (tensors[f"{name}.lora_{one}.weight"].double().flatten(1) for one in ("down", "up"))
    tensors[f"{name}.dora_scale"] = magnitude
    over = [*range(1, 2 + len(kernel))] if side == "out" else [0, *range(2, 2 + len(kernel))]

    def expected(w):
        return normed(w + 0.5 * (up @ down).reshape(w.shape), magnitude.double(), over)

    exact("stable diffusion", layer, tensors, expected, tmp_path)


def test_loha_is_added_exactly(tmp_path):
    name = kohya(CONV)
    tensors = {f"{name}.hada_w{i}_a": drawn(16, 2, seed=i) for i in (1, 2)}
    tensors |= {f"{name}.hada_w{i}_b": drawn(2, 72, seed=i) for i in (1, 2)} | {f"{name}.alpha": torch.tensor(1.0)}
    t = double(tensors)
    product = (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])
    exact("stable diffusion", CONV, tensors, lambda w: w + 0.5 * product.reshape(w.shape), tmp_path)
    tensors = {f"{name}.hada_w{i}_a": drawn(2, 16, seed=i) for i in (1, 2)}
    tensors |= {f"{name}.hada_w{i}_b": drawn(2, 8, seed=i) for i in (1, 2)}
    tensors |= {f"{name}.hada_t{i}": drawn(2, 2, 3, 3, seed=i) for i in (1, 2)}
    t = double(tensors)
    one, two = (torch.einsum("abxy,ao,bi->oixy", t[f"hada_t{i}"], t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]) for i in (1, 2))
    exact("stable diffusion", CONV, tensors, lambda w: w + one * two, tmp_path)


def test_lokr_is_added_exactly(tmp_path):
    name = kohya(K)  # 16 x 8 = (4 x 2) kron (4 x 4)
    small, large = drawn(4, 2), drawn(4, 4, seed=3)
    product = torch.kron(small.double(), large.double())
    tensors = {f"{name}.lokr_w1": small, f"{name}.lokr_w2": large, f"{name}.alpha": torch.tensor(7.0)}
    exact("stable diffusion", K, tensors, lambda w: w + product, tmp_path)  # LyCORIS scales whole factors by 1
    a, b = drawn(4, 2, seed=4), drawn(2, 4, seed=5)
    tensors = {f"{name}.lokr_w1": small, f"{name}.lokr_w2_a": a, f"{name}.lokr_w2_b": b}
    tensors[f"{name}.alpha"] = torch.tensor(3.0)
    product = 1.5 * torch.kron(small.double(), a.double() @ b.double())
    exact("stable diffusion", K, tensors, lambda w: w + product, tmp_path)
    name = kohya(CONV)  # 16 x 8 x 3 x 3 = (4 x 2) kron (4 x 4 x 3 x 3)
    a, b, t = drawn(2, 4, seed=6), drawn(2, 4, seed=7), drawn(2, 2, 3, 3, seed=8)
    tensors = {f"{name}.lokr_w1": small, f"{name}.lokr_w2_a": a, f"{name}.lokr_w2_b": b, f"{name}.lokr_t2": t}
    large = torch.einsum("ijxy,io,jn->onxy", t.double(), a.double(), b.double())
    product = torch.einsum("ab,cdxy->acbdxy", small.double(), large).reshape(16, 8, 3, 3)
    exact("stable diffusion", CONV, tensors, lambda w: w + product, tmp_path)


def test_differences_are_added_to_weights_and_biases(tmp_path):
    norm = "down_blocks.1.resnets.0.norm1"
    tensors = {f"{kohya(Q)}.diff": drawn(16, 16), f"{kohya(CONV)}.diff_b": drawn(16)}
    tensors |= {f"{kohya(norm)}.w_norm": drawn(8, seed=1), f"{kohya(norm)}.b_norm": drawn(8, seed=2)}
    save_file(tensors, tmp_path / "a.safetensors")
    changed, plain = with_adapter("stable diffusion", tmp_path / "a.safetensors"), made("stable diffusion")
    for key, suffix in ((f"{Q}.weight", ".diff"), (f"{CONV}.bias", ".diff_b"), (f"{norm}.weight", ".w_norm")):
        added = tensors[kohya(key.rpartition(".")[0]) + suffix].double()
        assert torch.equal(changed.unet.state_dict()[key], (plain.unet.state_dict()[key].double() + added).float())
    assert len(moved("stable diffusion", changed)) == 4


CONFIGS = {
    "lora": ("LoraConfig", {"lora_alpha": 4, "target_modules": ["to_q", "to_v", "conv1", "proj_in"]}),
    "rslora": ("LoraConfig", {"lora_alpha": 4, "use_rslora": True, "target_modules": ["to_q"]}),
    "patterns": (
        "LoraConfig",
        {
            "lora_alpha": 4,
            "rank_pattern": {"attn1.to_q": 3, "mid_block.*to_v": 1},
            "alpha_pattern": {"attn2.to_q": 5, "^mid_block.*attn1.*": 7},
            "target_modules": ["to_q", "to_v"],
        },
    ),
    "dora": ("LoraConfig", {"lora_alpha": 4, "use_dora": True, "target_modules": ["to_q", "conv1"]}),
    "biased": ("LoraConfig", {"lora_bias": True, "target_modules": ["to_out.0"]}),
    "saved": ("LoraConfig", {"modules_to_save": ["conv_in"], "target_modules": ["to_q"]}),
    "loha": ("LoHaConfig", {"alpha": 4, "target_modules": ["to_q", "conv1"], "use_effective_conv2d": True}),
    "lokr": ("LoKrConfig", {"alpha": 4, "target_modules": ["to_q", "to_k", "conv1"], "decompose_both": True}),
    "lokr, whole": ("LoKrConfig", {"alpha": 4, "r": 64, "target_modules": ["to_k"]}),
}


def of_peft(folder, network, kind, options, seed=1):
    """An adapter with weights drawn at random, saved; and the network that peft makes of it."""
    import peft

    start = "init_lora_weights" if kind == "LoraConfig" else "init_weights"
    torch.manual_seed(seed)
    config = getattr(peft, kind)(**{"r": 2, start: kind != "LoraConfig"} | options)
    wrapped = peft.get_peft_model(copy.deepcopy(network), config)
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if value.requires_grad:
                value.copy_(value + torch.randn_like(value) / 4 if "magnitude" in name else torch.randn_like(value) / 4)
    wrapped.save_pretrained(folder)
    return wrapped.merge_and_unload()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CONFIGS)
def test_an_adapter_of_peft_is_merged_as_by_peft(kind, tmp_path):
    merged = of_peft(tmp_path, made("stable diffusion").unet, *CONFIGS[kind])
    changed = with_adapter("stable diffusion", tmp_path)
    assert moved("stable diffusion", changed)
    assert_alike(changed.unet, merged)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["pixart", "dit", "stable diffusion 3", "flux"])
def test_an_adapter_of_peft_is_merged_into_every_family(family, tmp_path):
    options = {"lora_alpha": 3, "target_modules": ["to_q", "to_out.0"]}
    merged = of_peft(tmp_path, made(family).transformer, "LoraConfig", options)
    changed = with_adapter(family, tmp_path)
    assert_alike(changed.transformer, merged)


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_peft_finds_its_text_encoder(tmp_path):
    merged = of_peft(tmp_path, made("sdxl").text_encoder_2, "LoraConfig", {"target_modules": ["q_proj", "fc1"]})
    changed = with_adapter("sdxl", tmp_path)
    assert {name.split(".")[0] for name in moved("sdxl", changed)} == {"text_encoder_2"}
    assert_alike(changed.text_encoder_2, merged)
    of_peft(tmp_path, made("stable diffusion 3").text_encoder, "LoraConfig", {"target_modules": ["q_proj"]})
    with pytest.raises(UserError, match="fits text_encoder and text_encoder_2"):
        with_adapter("stable diffusion 3", tmp_path)


# the parts of each family that are trained, and the layers of text encoders
PARTS = {
    "stable diffusion": ["unet", "text_encoder"],
    "sdxl": ["unet", "text_encoder", "text_encoder_2"],
    "stable diffusion 3": ["transformer", "text_encoder", "text_encoder_2"],
    "flux": ["transformer", "text_encoder"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", PARTS)
@pytest.mark.parametrize("told", [True, False])
def test_a_lora_saved_by_diffusers_is_fused_in_every_part(family, told, tmp_path):
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import get_peft_model_state_dict

    pipeline = opened(family).pipeline
    parts = {name: getattr(pipeline, name) for name in PARTS[family]}
    torch.manual_seed(1)
    for part in parts.values():
        options = {"r": 2, "lora_alpha": 6 if told else 2, "init_lora_weights": False}
        part.add_adapter(LoraConfig(target_modules=["to_q", "q_proj", "fc1"], **options))
    layers = {f"{name}_lora_layers": get_peft_model_state_dict(part) for name, part in parts.items()}
    metadata = _collate_lora_metadata(parts) if told else {}
    type(pipeline).save_lora_weights(tmp_path, **layers, **metadata)
    changed = with_adapter(family, tmp_path)
    others, seen = moved(family, changed), 0
    for name, part in parts.items():
        for path, module in part.named_modules():
            if isinstance(module, BaseTunerLayer):
                module.merge()
                merged = module.get_base_layer().weight
                torch.testing.assert_close(weight(changed, path, name), merged.detach(), rtol=1e-5, atol=1e-6)
                assert f"{name}.{path}.weight" in others
                seen += 1
    assert seen == len(others)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_kohya_is_fused_as_by_diffusers(tmp_path):
    tensors = {}
    for number, layer in enumerate((Q, K, POINT, f"{Q.rpartition('.')[0]}.to_out.0")):
        kernel = (1, 1) if layer == POINT else ()
        out, into = weight(made("stable diffusion"), layer).shape[:2]
        tensors |= low_rank(kohya(layer), out, into, kernel=kernel, seed=number)
        tensors[f"{kohya(layer)}.alpha"] = torch.tensor(0.5)  # of several alphas diffusers takes one for all
    save_file(tensors, tmp_path / "a.safetensors")
    theirs = opened("stable diffusion").pipeline
    theirs.load_lora_weights(tmp_path, weight_name="a.safetensors")
    theirs.fuse_lora()
    theirs.unload_lora_weights()
    ours = with_adapter("stable diffusion", tmp_path / "a.safetensors").unet
    assert_alike(theirs.unet, ours)


CLIP = "encoder.layers.0.self_attn.q_proj"
T5 = "encoder.block.0.layer.0.SelfAttention.q"
ATTN = "transformer_blocks.0.attn"
FUSED = ("to_q", "to_k", "to_v")
SINGLE = "single_transformer_blocks.0"
NAMES = [
    *[
        ("stable diffusion", name, "unet", (Q,))
        for name in (
            f"unet.{Q}.lora_A",
            f"{Q}.lora_A",
            f"transformer.{Q}.lora_A",
            f"base_model.model.{Q}.lora_A",
            f"diffusion_model.{Q}.lora_A",
            f"unet.{Q}.lora.down",
            f"unet.{Q}.lora_A.default",
            f"unet.{Q.replace('.to_q', '.processor.to_q_lora.down')}",
            f"{Q.replace('.to_q', '.processor.to_q_lora.down')}",
            f"{kohya(Q)}.lora_down",
            "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q.lora_down",
            "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.lora_A",
            "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.lora_down",
            f"lycoris_{Q.replace('.', '_')}.lora_down",
        )
    ],
    (
        "stable diffusion",
        f"unet.{Q.replace('.to_q', '.processor.to_out_lora.down')}",
        "unet",
        (Q.replace("to_q", "to_out.0"),),
    ),
    *[
        ("stable diffusion", name, "text_encoder", (CLIP,))
        for name in (
            f"text_encoder.text_model.{CLIP}.lora_A",
            f"text_encoder.text_model.{CLIP}.lora_linear_layer.down",
            f"text_encoder.text_model.{CLIP.replace('q_proj', 'to_q_lora.down')}",
            f"text_encoder.{CLIP}.lora_A",
            f"lora_te_text_model_{CLIP.replace('.', '_')}.lora_down",
            f"lora_te1_text_model_{CLIP.replace('.', '_')}.lora_down",
            f"text_encoders.clip_l.transformer.text_model.{CLIP}.lora_A",
        )
    ],
    ("sdxl", f"lora_te2_text_model_{CLIP.replace('.', '_')}.lora_down", "text_encoder_2", (f"text_model.{CLIP}",)),
    ("sdxl", f"text_encoder_2.text_model.{CLIP}.lora_A", "text_encoder_2", (f"text_model.{CLIP}",)),
    ("sdxl", f"lora_te1_text_model_{CLIP.replace('.', '_')}.lora_down", "text_encoder", (CLIP,)),
    ("sdxl", "lora_unet_input_blocks_3_1_transformer_blocks_0_attn2_to_k.lora_down", "unet", (K,)),
    ("stable diffusion 3", f"lora_te3_{T5.replace('.', '_')}.lora_down", "text_encoder_3", (T5,)),
    (
        "stable diffusion 3",
        "lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down",
        "transformer",
        tuple(f"{ATTN}.{name}" for name in FUSED),
    ),
    (
        "stable diffusion 3",
        "diffusion_model.joint_blocks.0.context_block.attn.qkv.lora_A",
        "transformer",
        tuple(f"{ATTN}.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj")),
    ),
    ("flux", f"transformer.{ATTN}.to_q.lora_A", "transformer", (f"{ATTN}.to_q",)),
    ("flux", f"lora_transformer_{ATTN.replace('.', '_')}_to_q.lora_down", "transformer", (f"{ATTN}.to_q",)),
    *[
        ("flux", name, "transformer", tuple(f"{ATTN}.{one}" for one in FUSED))
        for name in (
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down",
            "diffusion_model.double_blocks.0.img_attn.qkv.lora_A",
            "double_blocks.0.processor.qkv_lora1.down",
        )
    ],
    (
        "flux",
        "lora_unet_single_blocks_0_linear1.lora_down",
        "transformer",
        (*(f"{SINGLE}.attn.{name}" for name in FUSED), f"{SINGLE}.proj_mlp"),
    ),
    ("flux", "single_blocks.0.processor.qkv_lora.down", "transformer", tuple(f"{SINGLE}.attn.{n}" for n in FUSED)),
    ("flux", "double_blocks.0.processor.proj_lora2.down", "transformer", (f"{ATTN}.to_add_out",)),
    ("flux", f"lora_te1_text_model_{CLIP.replace('.', '_')}.lora_down", "text_encoder", (CLIP,)),
    ("flux", f"lora_te3_{T5.replace('.', '_')}.lora_down", "text_encoder_2", (T5,)),
    ("flux", f"text_encoder_2.{T5}.lora_A", "text_encoder_2", (T5,)),
    ("flux", f"text_encoders.t5xxl.transformer.{T5}.lora_A", "text_encoder_2", (T5,)),
    (
        "pixart",
        "transformer.transformer_blocks.1.attn2.to_k.lora_A",
        "transformer",
        ("transformer_blocks.1.attn2.to_k",),
    ),
    ("pixart", f"lora_te_{T5.replace('.', '_')}.lora_down", "text_encoder", (T5,)),
    (
        "pixart",
        "diffusion_model.blocks.1.cross_attn.kv_linear.lora_A",
        "transformer",
        ("transformer_blocks.1.attn2.to_k", "transformer_blocks.1.attn2.to_v"),
    ),
    (
        "dit",
        "diffusion_model.blocks.1.attn.qkv.lora_A",
        "transformer",
        tuple(f"transformer_blocks.1.attn1.{name}" for name in FUSED),
    ),
    ("latent, KL", "unet.down_blocks.1.attentions.0.to_q.lora_A", "unet", ("down_blocks.1.attentions.0.to_q",)),
]


@pytest.mark.parametrize("family, name, part, layers", NAMES, ids=lambda value: str(value)[-60:])
def test_every_way_of_naming_a_layer_is_known(family, name, part, layers, tmp_path):
    old = [weight(made(family), layer, part) for layer in layers]
    down, up = drawn(2, old[0].shape[1]), drawn(sum(map(len, old)), 2, seed=1)
    base, side, adapter = name.rpartition("lora_A" if "lora_A" in name else "down")
    other = base + {"lora_A": "lora_B", "down": "up"}[side] + adapter
    save_file({f"{name}.weight": down, f"{other}.weight": up}, tmp_path / "a.safetensors")
    changed = with_adapter(family, tmp_path / "a.safetensors")
    rows = (torch.cat(old).double() + up.double() @ down.double()).float().split([len(one) for one in old])
    for layer, expected in zip(layers, rows):
        assert torch.equal(weight(changed, layer, part), expected)
    assert moved(family, changed) == {f"{part}.{layer}.weight" for layer in layers}


@pytest.mark.parametrize("family", ["stable diffusion", "sdxl", "stable diffusion 3"])
def test_original_names_are_those_that_diffusers_converts(family):
    """A checkpoint written by our table is, converted by diffusers, the network that it was written from."""
    from diffusers.loaders import single_file_utils

    from trainedon.targets.adapters.layer_names import LayerPlace
    from trainedon.targets.adapters.originals import originals

    pipeline = made(family)
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    network = getattr(pipeline, part)
    checkpoint = {}
    for name, layers in originals(network).items():
        for kind in ("weight", "bias"):
            if LayerPlace(part, layers).parameters(pipeline, kind):
                checkpoint[f"{name}.{kind}"] = LayerPlace(part, layers).read(pipeline, kind)
    if part == "unet":
        convert = single_file_utils.convert_ldm_unet_checkpoint
        named = {f"model.diffusion_model.{key}": value for key, value in checkpoint.items()}
        converted = convert(named, {**network.config, "class_embed_type": None})
    else:
        checkpoint["pos_embed"] = network.pos_embed.pos_embed
        converted = single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers(checkpoint)
    assert len(converted) > 60
    for key, value in network.state_dict().items():
        assert torch.equal(converted[key].float(), value), key


GOOD = low_rank(f"unet.{Q}", 16, 16)
ALONE = f"unet.{Q}.lora_up.weight"
REFUSED = {
    "another family": (
        low_rank("lora_unet_double_blocks_7_img_attn_qkv", 48, 16),
        "lacks 1 of its 1 layers.*double_blocks_7.*seems to be a LoRA for Flux",
    ),
    "some layers": (
        GOOD | low_rank("unet.down_blocks.7.attentions.0.attn1.to_q", 16, 16),
        r"lacks 1 of its 2 layers \(unet.down_blocks.7.attentions.0.attn1.to_q\)",
    ),
    "another text encoder": (low_rank(f"lora_te2_text_model_{CLIP}", 8, 8), "lacks 1 of .*seems to be a LoRA for SDXL"),
    "another width": (
        low_rank(f"unet.{K}", 16, 2048),
        "a change of 32768 numbers for a weight of 16 x 8; it seems to be a LoRA for SDXL",
    ),
    "half a pair": ({ALONE: GOOD[ALONE]}, "up make no whole change"),
    "another rank": (GOOD | {ALONE: torch.ones(16, 3)}, "its tensors do not fit one another"),
    "nan": (GOOD | {ALONE: torch.full((16, 2), torch.nan)}, "NaN or infinity.*damaged"),
    "no change": (GOOD | {ALONE: torch.zeros(16, 2)}, "changes nothing"),
    "scale of nothing": (GOOD | {f"unet.{Q}.alpha": torch.tensor(0.0)}, "changes nothing"),
    "twice": (GOOD | low_rank(kohya(Q), 16, 16), "changes unet .*to_q twice"),
    "two in one": (
        GOOD | {f"unet.{Q}.lora_A.other.weight": torch.ones(2, 16)},
        "holds two down for unet.*: give one adapter a file",
    ),
    "dora of another shape": (GOOD | {f"unet.{Q}.dora_scale": torch.ones(16)}, "dora_scale of 16 for a weight"),
    "alphas alone": (GOOD | {f"unet.{K}.alpha": torch.tensor(1.0)}, "alpha without the rest"),
    "oft": ({f"{kohya(Q)}.oft_blocks": torch.ones(2, 2)}, "is of a kind not read; it seems to be an OFT adapter"),
    "ia3": ({f"{kohya(Q)}.on_input": torch.tensor(1), f"{kohya(Q)}.weight": torch.ones(1)}, r"an \(IA\)3 adapter"),
    "glora": ({f"{kohya(Q)}.a1.weight": torch.ones(2, 2)}, "a GLoRA adapter"),
    "embedding": ({"emb_params": torch.ones(2, 8)}, "a textual inversion embedding"),
    "embedding of sdxl": ({"clip_l": torch.ones(2, 8), "clip_g": torch.ones(2, 8)}, "a textual inversion embedding"),
    "controlnet": ({"lora_controlnet": torch.ones(1), "input_blocks.1.0.up": torch.ones(2, 2)}, "a ControlLoRA"),
    "checkpoint": ({"model.diffusion_model.out.2.weight": torch.ones(4, 8, 3, 3)}, "whole checkpoint: give it as the"),
    "integers": (GOOD | {ALONE: torch.ones(16, 2, dtype=torch.int8)}, "int8: quantized adapters are not read"),
    "empty": ({}, "is empty"),
    "no rank": (
        {f"unet.{Q}.lora_A.weight": torch.ones(0, 16), f"unet.{Q}.lora_B.weight": torch.ones(16, 0)},
        "down of no rank",
    ),
    "numbers": (
        {f"unet.{Q}.lora_A.weight": torch.tensor(1.0), f"unet.{Q}.lora_B.weight": torch.tensor(1.0)},
        "no rank",
    ),
    "halves": (
        {
            f"{kohya(Q)}.hada_w{i}_{s}": torch.ones(*((16, 2) if s == "a" else (2, 16 // i)))
            for i in (1, 2)
            for s in "ab"
        },
        "two products are of different sizes",
    ),
    "core": (
        low_rank(kohya(CONV), 16, 8, kernel=(1, 1)) | {f"{kohya(CONV)}.lora_mid.weight": torch.ones(1, 1, 3, 3)},
        "a core of 1 x 1 x 3 x 3 between ranks 2 and 2",
    ),
    "bias of none": (GOOD | {f"unet.{Q}.diff_b": torch.ones(16)}, "a change of the bias, which the layer has not"),
    "a suffix twice": (low_rank(f"unet.{Q}.lora_down", 16, 16), "lacks 1 of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_applied_whole_is_refused(case, tmp_path):
    tensors, says = REFUSED[case]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=says):
        with_adapter("stable diffusion", tmp_path / "a.safetensors")


def peft_folder(folder, tensors=None, **config):
    save_file(tensors or low_rank_of_peft(), folder / "adapter_model.safetensors")
    options = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["down_blocks.1.attentions.0.proj_in"]}
    (folder / "adapter_config.json").write_text(json.dumps(options | config))
    return folder


def low_rank_of_peft(layer=POINT, name="base_model.model."):
    return {f"{name}{layer}.lora_A.weight": drawn(2, 16, 1, 1), f"{name}{layer}.lora_B.weight": drawn(16, 2, 1, 1)}


@pytest.mark.parametrize(
    "config, says",
    [
        ({"r": 3}, "a rank of 2, where the configuration says 3"),
        ({"lora_alpha": None}, "does not give r and lora_alpha"),
        ({"init_lora_weights": "pissa_niter_4"}, "begun by 'pissa_niter_4'"),
        ({"peft_type": "OFT"}, "peft's type OFT are not read"),
        ({"layer_replication": [[0, 2]]}, "sets layer_replication"),
        ({"something_of_2030": 1}, "sets something_of_2030"),
        ({"r": 0}, "a rank that is not above 0"),
        ({"auto_mapping": 3, "use_dora": True}, "do not agree whether it is a DoRA"),
        ({"target_modules": ["proj_in"]}, "lacks .*proj_in, which its configuration names"),
        ({"alpha_pattern": {"proj_in": 2, "attentions.*": 3}}, r"patterns that disagree \(2, 3\)"),
        ({"rank_pattern": {"(a{9}){9}": 2}}, r"pattern .\(a\{9\}\)\{9\}. is not read"),
    ],
)
def test_a_configuration_of_peft_has_its_say(config, says, tmp_path):
    with pytest.raises(UserError, match=says):
        with_adapter("stable diffusion", peft_folder(tmp_path, **config))


def test_an_adapter_of_peft_has_its_names_and_its_configuration(tmp_path):
    assert moved("stable diffusion", with_adapter("stable diffusion", peft_folder(tmp_path)))
    with pytest.raises(UserError, match="lacks 1 of its 1 layers"):
        peft_folder(tmp_path, low_rank_of_peft(name="base_model.model.unet."), init_lora_weights=False)
        with_adapter("stable diffusion", tmp_path)
    with pytest.raises(UserError, match="its names are not peft's"):
        with_adapter("stable diffusion", peft_folder(tmp_path, low_rank_of_peft(name="unet.")))
    peft_folder(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(UserError, match=r"adapter_config\.json is missing"):
        with_adapter("stable diffusion", tmp_path)


@pytest.mark.parametrize(
    "header, scale",
    [
        ({"ss_network_alpha": "1.0", "ss_network_dim": "2"}, 0.5),
        ({"ss_network_alpha": "1", "ss_network_dim": "2", "ss_network_args": '{"rs_lora": "True"}'}, 0.5**0.5),
        ({"ss_network_dim": "2"}, 1.0),
        ({"ss_network_alpha": "Dynamic", "ss_network_dim": "2"}, "does not say it clearly"),
        ({"ss_network_alpha": "1", "ss_network_dim": "8"}, "a rank of 2, where the header says 8"),
        ({"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 3})}, 1.5),
        (
            {"lora_adapter_metadata": json.dumps({"transformer.r": 2, "transformer.lora_alpha": 3})},
            "has no transformer",
        ),
        ({"lora_adapter_metadata": "{"}, "is not readable JSON"),
    ],
)
def test_a_scale_may_stand_in_the_header(header, scale, tmp_path):
    tensors = low_rank(f"unet.{Q}" if "lora_adapter_metadata" in header else kohya(Q), 16, 16)
    save_file(tensors, tmp_path / "a.safetensors", metadata=header)
    if isinstance(scale, str):
        with pytest.raises(UserError, match=scale):
            with_adapter("stable diffusion", tmp_path / "a.safetensors")
        return
    down, up = (value.double() for value in tensors.values())
    expected = weight(made("stable diffusion"), Q).double() + scale * (up @ down)
    torch.testing.assert_close(
        weight(with_adapter("stable diffusion", tmp_path / "a.safetensors"), Q).double(), expected, rtol=1e-6, atol=1e-6
    )


def test_a_scale_that_may_be_in_the_weights_already_is_refused(tmp_path):
    tensors = {f"unet.{Q}.lora_A.weight": drawn(2, 16), f"unet.{Q}.lora_B.weight": drawn(16, 2)}
    header = {"ss_network_alpha": "1", "ss_network_dim": "2"}
    save_file(tensors, tmp_path / "a.safetensors", metadata=header)
    with pytest.raises(UserError, match="does not say whether that is in the weights"):
        with_adapter("stable diffusion", tmp_path / "a.safetensors")


def test_a_change_is_rounded_once_to_the_precision_of_the_weight(tmp_path):
    save_file({key: value.bfloat16() for key, value in GOOD.items()}, tmp_path / "a.safetensors")
    half = opened("stable diffusion")
    half.pipeline.unet.to(torch.bfloat16)
    old = weight(half.pipeline, Q).double()
    fuse(half, adapters_of(tmp_path))
    down, up = (value.bfloat16().double() for value in GOOD.values())
    assert torch.equal(weight(half.pipeline, Q), (old + up @ down).bfloat16())


def test_several_adapters_are_added_by_their_weights(tmp_path):
    for number, name in enumerate("ab"):
        save_file(low_rank(kohya(Q), 16, 16, seed=number), tmp_path / f"{name}.safetensors")
    old = weight(made("stable diffusion"), Q).double()
    one, two = (weight(with_adapter("stable diffusion", tmp_path / f"{n}.safetensors"), Q).double() - old for n in "ab")
    both = with_adapter("stable diffusion", tmp_path / "a.safetensors", f"{tmp_path / 'b.safetensors'}:0.6")
    torch.testing.assert_close(weight(both, Q).double(), old + one + 0.6 * two, rtol=0, atol=1e-5)
    half = with_adapter("stable diffusion", f"{tmp_path / 'a.safetensors'}:-0.5")
    torch.testing.assert_close(weight(half, Q).double(), old - 0.5 * one, rtol=0, atol=1e-5)


def test_the_files_of_an_adapter(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    with pytest.raises(UserError, match="holds no adapter: give the file itself"):
        adapters_of(one)
    (one / "pytorch_lora_weights.bin").write_bytes(b"pickle")
    for given in (one, one / "pytorch_lora_weights.bin"):
        with pytest.raises(UserError, match=r"pytorch_lora_weights\.bin is a pickle.*convert it"):
            adapters_of(given)
    save_file(GOOD, one / "mine-000001.safetensors")
    (found,) = adapters_of(one)
    assert (found.name, found.weight, found.file.name) == ("one", 1.0, "mine-000001.safetensors")
    assert adapters_of(one / "mine-000001.safetensors")[0].digest == found.digest
    save_file(GOOD, one / "mine-000002.safetensors")
    with pytest.raises(UserError, match=r"2 files that may be the adapter \(mine-000001.safetensors, mine-0000"):
        adapters_of(one)
    for given in (f"{one}/nothing.safetensors", "C:\\nothing", f"{one}/nothing:0.6"):
        with pytest.raises(UserError, match="does not exist: give"):
            adapters_of(given)
    colon = tmp_path / "a:0.5"
    colon.mkdir()
    save_file(GOOD, colon / "a.safetensors")
    assert [adapters_of(given)[0].weight for given in (str(colon), f"{colon}:0.25", colon)] == [1.0, 0.25, 1.0]
    with pytest.raises(UserError, match=r"a\.safetensors is given twice: give it once, as FILE:2"):
        adapters_of([colon, f"{colon}:0.25"])
    for folder in ("run1", "run2"):
        (tmp_path / folder).mkdir()
        save_file(GOOD, tmp_path / folder / "pytorch_lora_weights.safetensors")
    alike = adapters_of([tmp_path / folder / "pytorch_lora_weights.safetensors" for folder in ("run1", "run2")])
    assert named("sd", alike) == "sd + run1/pytorch_lora_weights.safetensors + run2/pytorch_lora_weights.safetensors"
    for given in (f"{colon}:0", f"{colon}:nan", f"{colon}:inf"):
        with pytest.raises(UserError, match="a number other than 0"):
            adapters_of(given)
    (one / "notes.txt").write_text("?")
    with pytest.raises(UserError, match=r"an adapter is a \.safetensors file"):
        adapters_of(one / "notes.txt")
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(UserError, match="the adapter cannot be read"):
        with_adapter("stable diffusion", tmp_path / "broken.safetensors")


def test_a_hub_id_that_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="nobody/nothing is no adapter here and could not be fetched from the hub"):
        adapters_of("nobody/nothing:0.5")


def test_adapters_are_in_name_and_digest_of_the_model(tmp_path):
    model = tiny.save("stable diffusion", tmp_path / "model")
    one, two = tmp_path / "one", tmp_path / "two"
    for number, folder in enumerate((one, two)):
        folder.mkdir()
        save_file(low_rank(kohya(Q), 16, 16, seed=number), folder / "pytorch_lora_weights.safetensors")
    target = load_target(model, adapter=[str(one), f"{two}:0.6"])
    assert target.identity.name == "model + one + two:0.6"
    givens = [None, one, two, f"{one}:0.6", [one, two], [two, one], [one, f"{two}:0.6"]]
    digests = [model_digest(model, given) for given in givens]
    assert len(set(digests)) == len(digests) and target.identity.digest == digests[-1]
    assert model_digest(model, one / "pytorch_lora_weights.safetensors") == digests[1]
    assert load_target(model).identity.digest == digests[0] == load_target(model, adapter=()).identity.digest


def test_the_digest_of_one_adapter_is_what_it_was(tmp_path):
    """Runs of earlier versions go on: their sha256 was written down."""
    from trainedon.targets.adapters import digest_with

    save_file({"a.lora_A.weight": torch.ones(1, 1)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert (
        digest_with("00", adapters_of(tmp_path)) == "ea48c4938313d63ffc5cf9e53d3cba24ba2ced6f99c664e57a1d368dc6163f66"
    )


def test_an_adapter_for_a_pixel_model_is_refused(tmp_path):
    diffusers.DDPMPipeline(tiny.unconditional(), diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="are for latent models"):
        load_target(tmp_path, adapter=[tmp_path])


def test_the_option_may_be_given_more_than_once(tmp_path):
    from PIL import Image
    from typer.testing import CliRunner

    from trainedon.cli import app

    model = tiny.save("stable diffusion", tmp_path / "model")
    save_file(GOOD, tmp_path / "a.safetensors")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures" / "one.png")
    adapters = ["--adapter", f"{tmp_path / 'a.safetensors'}:0.5", "--adapter", f"{tmp_path}/none.safetensors:0.6"]
    asked = ["audit", str(model), str(tmp_path / "pictures"), *adapters, "--attacks", "loss", "--out"]
    result = CliRunner().invoke(app, [*asked, str(tmp_path / "run")])
    assert isinstance(result.exception, UserError)
    assert "none.safetensors does not exist: give the file of an adapter" in str(result.exception)
