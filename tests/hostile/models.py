"""Models of strangers: files that say one thing and do another, and parts that are missing, cut or something else."""

from __future__ import annotations

import base64
import json
import math
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hostile.cases import hostile
from PIL import Image
from safetensors.torch import load_file, save_file

from trainedon.free_memory import free_of_system

WEIGHTS = "diffusion_pytorch_model.safetensors"
WORDS = ("vocab.json", "merges.txt", "tokenizer.json")


@cache
def _good(family: str) -> Path:
    """A tiny model, made once."""
    return tiny.save(family, Path(tempfile.mkdtemp(prefix="hostile-")) / "model")


def _model(place: Path, family: str = "stable diffusion") -> tuple[Path, list[str]]:
    """A copy of a tiny model, and the command line that audits it."""
    shutil.copytree(_good(family), place / "model")
    (place / "pictures").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "pictures" / f"{number}.png")
    return place / "model", ["model", "pictures", "--attacks", "loss(t=100)", "--out", "run"]


def _edit(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: part for key, part in value.items() if part is not ...}))


def spoilt(says: str, family: str = "stable diffusion", code: int = 2) -> Callable:
    """Registers a function that spoils a good model."""

    def register(spoil: Callable[[Path], None]) -> Callable:
        def build(place: Path) -> list[str]:
            model, line = _model(place, family)
            spoil(model)
            return line

        build.__name__, build.__module__ = spoil.__name__, spoil.__module__
        return hostile(says, code=code, command="audit")(build)

    return register


@spoilt("only safetensors in the same folder are opened")
def an_index_that_names_files_elsewhere(model: Path) -> None:
    part = model / "text_encoder"
    shutil.move(part / "model.safetensors", model.parent / "elsewhere.safetensors")
    names = load_file(model.parent / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../../elsewhere.safetensors")}
    (part / "model.safetensors.index.json").write_text(json.dumps(index))


@spoilt("link that leads out of the model's folder")
def a_shard_that_is_a_link_to_elsewhere(model: Path) -> None:
    shutil.move(model / "unet" / WEIGHTS, model.parent / "elsewhere.safetensors")
    names = load_file(model.parent / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "a.safetensors")}
    (model / "unet" / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    (model / "unet" / "a.safetensors").symlink_to("../../elsewhere.safetensors")


@spoilt("picture", code=0)
def pickles_indices_and_code_beside_everything(model: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        for name in (
            "pytorch_model.bin",
            "diffusion_pytorch_model.bin",
            "model.ckpt",
            "tokenizer.model",
            "tekken.json",
        ):
            (model / part / name).write_bytes(pickle.dumps(print))
        (model / part / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "pytorch_model.bin"}}')
        (model / part / "modeling.py").write_text("import os; os.mkdir('/tmp/exploded')")
    index = {"weight_map": {"a": "pytorch_model.bin"}}
    (model / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(index))


@spoilt("transformers_weights")
def a_configuration_that_names_its_weights(model: Path) -> None:
    (model / "text_encoder" / "other.bin").write_bytes(pickle.dumps(print))
    _edit(model / "text_encoder" / "config.json", transformers_weights="other.bin")


@spoilt("holds an adapter (adapter_config.json) too")
def an_adapter_beside_a_text_encoder(model: Path) -> None:
    (model / "text_encoder" / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')


@spoilt("weights do not fit the configuration")
def a_pickle_that_is_called_safetensors(model: Path) -> None:
    torch.save({"a": torch.ones(2)}, model / "vae" / WEIGHTS)


@spoilt("holds only pickled weights")
def a_text_encoder_of_pickles(model: Path) -> None:
    state = load_file(model / "text_encoder" / "model.safetensors")
    (model / "text_encoder" / "model.safetensors").unlink()
    torch.save(state, model / "text_encoder" / "pytorch_model.bin")


@spoilt("auto_map")
def a_tokenizer_with_code(model: Path) -> None:
    (model / "tokenizer" / "wicked.py").write_text("import os; os.mkdir('/tmp/exploded')")
    _edit(model / "tokenizer" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["wicked.T", None]})


@spoilt("holds no vocabulary")
def a_tokenizer_whose_words_lie_elsewhere(model: Path) -> None:
    elsewhere = model.parent / "elsewhere"
    shutil.copytree(model / "tokenizer", elsewhere)
    for name in WORDS:
        (model / "tokenizer" / name).unlink(missing_ok=True)
    given = {"vocab_file": str(elsewhere / "vocab.json"), "tokenizer_file": str(elsewhere / "tokenizer.json")}
    _edit(model / "tokenizer" / "tokenizer_config.json", **given)


@spoilt("merges.txt is missing, half of the vocabulary")
def a_tokenizer_without_merges(model: Path) -> None:
    words = json.loads((model / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    (model / "tokenizer" / "tokenizer.json").unlink()
    (model / "tokenizer" / "vocab.json").write_text(json.dumps(words))


def _vocabulary(model: Path, words: object) -> None:
    path = model / "tokenizer" / "tokenizer.json"
    value = json.loads(path.read_text())
    value["model"]["vocab"] = words
    path.write_text(json.dumps(value))


@spoilt("knows 2 of the text encoder's 190 words")
def a_vocabulary_of_two_words(model: Path) -> None:
    _vocabulary(model, {"<|startoftext|>": 0, "<|endoftext|>": 1})
    _edit(model / "tokenizer" / "tokenizer_config.json", added_tokens_decoder=...)
    value = json.loads((model / "tokenizer" / "tokenizer.json").read_text()) | {"added_tokens": []}
    (model / "tokenizer" / "tokenizer.json").write_text(json.dumps(value))


@spoilt("has lost its words")
def a_vocabulary_of_the_right_size_without_letters(model: Path) -> None:
    rubbish = {f"<{number}>": number for number in range(188)}
    _vocabulary(model, rubbish | {"<|startoftext|>": 188, "<|endoftext|>": 189})


@spoilt("knows 1000 words, and the text encoder 190")
def a_vocabulary_of_another_model(model: Path) -> None:
    words = json.loads((model / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    _vocabulary(model, words | {f"word{number}": number for number in range(190, 1000)})


@spoilt("lists more or longer words than any vocabulary has")
def a_word_without_end(model: Path) -> None:
    words = json.loads((model / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    _vocabulary(model, words | {"a" * 1_000_000: 200})


@spoilt("the tokenizer cannot be read")
def a_vocabulary_of_lists(model: Path) -> None:
    _vocabulary(model, [[["a"]], 3, None])


@spoilt("is not readable JSON")
def a_vocabulary_that_was_not_downloaded_whole(model: Path) -> None:
    path = model / "tokenizer" / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:1000])


@spoilt("names no tokenizer")
def a_text_encoder_without_its_tokenizer(model: Path) -> None:
    _edit(model / "model_index.json", tokenizer=[None, None])


@spoilt("has lost its words", "pixart")
def a_t5_that_knows_no_word(model: Path) -> None:
    path = model / "tokenizer" / "tokenizer.json"
    value = json.loads(path.read_text())
    rubbish = [[f"<{number}>", -3.0] for number in range(27)]
    value["model"]["vocab"] = value["model"]["vocab"][:3] + rubbish
    path.write_text(json.dumps(value))


@spoilt("extra_ids = 1000000000 is refused", "pixart")
def a_t5_of_a_billion_gaps(model: Path) -> None:
    _edit(model / "tokenizer" / "tokenizer_config.json", extra_ids=10**9)


@spoilt("tokenizer cannot be read", "pixart")
def a_sentencepiece_file_of_noise(model: Path) -> None:
    (model / "tokenizer" / "tokenizer.json").unlink()
    (model / "tokenizer" / "spiece.model").write_bytes(np.random.default_rng(0).bytes(5000))


def _map(start: int, texts: bytes) -> bytes:
    """A map of characters that replaces "#" by the text from `start` on."""
    units = np.zeros(1024, "<u4")
    units[0] = 256 << 10
    units[256 ^ ord("#")] = ord("#") | 1 << 8 | (256 ^ ord("#") ^ 512) << 10
    units[512] = start
    return units.nbytes.to_bytes(4, "little") + units.tobytes() + texts


def _sentencepiece(model: Path, characters: bytes = b"", words: tuple[str, ...] = ()) -> None:
    """Puts a model of SentencePiece in place of a T5's tokenizer.json, and captions beside the pictures."""
    pytest.importorskip("google.protobuf", reason="such files are read with protobuf")
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    made = ModelProto()
    for piece, kind in (("<pad>", 3), ("</s>", 3), ("<unk>", 2), ("\u2581", 1)):
        made.pieces.add(piece=piece, score=-2.0, type=kind)
    for piece in (*"abcdefghijklmnopqrstuvwxyz", *words):
        made.pieces.add(piece=piece, score=-3.0)
    made.trainer_spec.model_type = 1
    made.normalizer_spec.precompiled_charsmap = characters
    (model / "tokenizer" / "tokenizer.json").unlink()
    (model / "tokenizer" / "spiece.model").write_bytes(made.SerializeToString())
    _captioned(model, "a cat " + "#" * 20)


def _captioned(model: Path, words: str) -> None:
    for number in range(2):
        (model.parent / "pictures" / f"{number}.txt").write_text(words)


def _normalized(model: Path, text: str) -> None:
    path = model / "tokenizer" / "tokenizer.json"
    rule = {"type": "Precompiled", "precompiled_charsmap": text}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": rule}))
    _captioned(model, "a cat " + "#" * 20)


@spoilt("picture", "pixart", code=0)
def a_sentencepiece_file_with_a_small_map(model: Path) -> None:
    _sentencepiece(model, _map(0, b"sharp\0"))


@spoilt("its map of characters is damaged", "pixart")
def a_character_that_stands_for_megabytes(model: Path) -> None:
    _sentencepiece(model, _map(0, b"a" * 20_000_000 + b"\0"))


@spoilt("makes more than 100 bytes of one character", "pixart")
def a_character_that_stands_for_pages(model: Path) -> None:
    _sentencepiece(model, _map(0, b"a" * 500_000 + b"\0"))


@spoilt("its map of characters leads out of itself", "pixart")
def a_character_that_stands_for_what_is_not_there(model: Path) -> None:
    _sentencepiece(model, _map(6, b"sharp\0"))


@spoilt("its map of characters leads out of itself", "pixart")
def a_character_that_stands_for_half_a_letter(model: Path) -> None:
    _sentencepiece(model, _map(1, "é\0".encode()))


@spoilt("spiece.model: ", "pixart")
def a_map_of_noise(model: Path) -> None:
    _sentencepiece(model, (1024).to_bytes(4, "little") + np.random.default_rng(0).bytes(1024) + b"abc\0")


@spoilt("lists more or longer words than any vocabulary has", "pixart")
def a_sentencepiece_file_with_a_word_without_end(model: Path) -> None:
    _sentencepiece(model, words=("a" * 1_000_000,))


@spoilt("tokenizer.json: its map of characters is damaged", "pixart")
def a_map_of_three_bytes(model: Path) -> None:
    _normalized(model, "AAAA")


@spoilt("tokenizer.json: its map of characters is damaged")
def a_map_that_is_no_base64(model: Path) -> None:
    _normalized(model, "!!!!")


@spoilt("tokenizer.json: its map of characters is damaged", "pixart")
def a_map_of_megabytes_in_json(model: Path) -> None:
    _normalized(model, base64.b64encode(_map(0, b"a" * 10_000_000 + b"\0")).decode())


def _of_pages(family: str) -> None:
    """A case whose captions are longer than a text encoder takes: nothing is printed of them."""

    def spoil(model: Path) -> None:
        _captioned(model, "cat " * 2499)

    spoil.__name__ = f"captions_of_pages_for_{family.replace(' ', '_')}"
    spoilt("picture", family, code=0)(spoil)


for _name in ("stable diffusion", "pixart"):
    _of_pages(_name)


def _piped(name: str, family: str = "stable diffusion") -> None:
    """A case in which one file of a model is a pipe, which nobody ever writes to."""

    def spoil(model: Path) -> None:
        (model / name).unlink()
        os.mkfifo(model / name)

    spoil.__name__ = "a_pipe_at_" + re.sub(r"\W+", "_", f"{name} of {family}")
    spoilt("pipe", family)(spoil)


for _name in ("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"):
    _piped(_name)
_piped("scheduler/scheduler_config.json")
_piped("scheduler/scheduler_config.json", "latent, KL")


@spoilt("is a pipe and no file")
def a_pipe_for_weights(model: Path) -> None:
    (model / "vae" / WEIGHTS).unlink()
    os.mkfifo(model / "vae" / WEIGHTS)


@spoilt("link that leads out of the model's folder")
def a_part_that_is_a_link_to_elsewhere(model: Path) -> None:
    shutil.move(model / "unet", model.parent / "elsewhere")
    (model / "unet").symlink_to("../elsewhere")


@spoilt("link that leads out of the model's folder")
def a_configuration_that_is_a_link_to_elsewhere(model: Path) -> None:
    shutil.move(model / "vae" / "config.json", model.parent / "elsewhere.json")
    (model / "vae" / "config.json").symlink_to("../../elsewhere.json")


@spoilt("Too many levels of symbolic links")
def a_loop_of_links(model: Path) -> None:
    (model / "model_index.json").unlink()
    (model / "model_index.json").symlink_to("model_index.json")


@spoilt("is a folder and no")
def a_folder_in_place_of_a_configuration(model: Path) -> None:
    (model / "vae" / "config.json").unlink()
    (model / "vae" / "config.json").mkdir()


@spoilt("model folder is incomplete")
def a_file_in_place_of_a_part(model: Path) -> None:
    shutil.rmtree(model / "vae")
    (model / "vae").write_text("")


@spoilt("not downloaded whole")
def an_autoencoder_that_was_not_downloaded_whole(model: Path) -> None:
    os.truncate(model / "vae" / WEIGHTS, 1000)


@spoilt("not downloaded whole")
def weights_of_a_terabyte_of_nothing(model: Path) -> None:
    with (model / "unet" / WEIGHTS).open("r+b") as file:
        file.truncate(2**40)


@spoilt(
    "its weights take 1024.0 GiB of memory" if (free_of_system() or math.inf) < 2**40 else "larger than its weights"
)
def weights_of_a_terabyte_that_the_header_speaks_of(model: Path) -> None:
    entry = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    header = json.dumps({"conv_in.weight": entry}).encode()
    with (model / "unet" / WEIGHTS).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**40)


@spoilt("no header of safetensors")
def a_header_of_a_hundred_megabytes(model: Path) -> None:
    header = b'{"a":[' + b'{"b":0},' * 12_000_000 + b"0]}"
    (model / "unet" / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)


@spoilt("more than")
def a_configuration_of_two_gigabytes(model: Path) -> None:
    os.truncate(model / "unet" / "config.json", 2 * 2**30)


@spoilt("the key '_class_name' is there twice")
def a_configuration_that_says_two_things(model: Path) -> None:
    path = model / "unet" / "config.json"
    path.write_text('{"_class_name": "UNet3DConditionModel", ' + path.read_text()[1:])


@spoilt("is not supported")
def ten_thousand_parts(model: Path) -> None:
    _edit(model / "model_index.json", **{f"part{number}": ["diffusers", "VQModel"] for number in range(10_000)})


@spoilt("are not supported yet")
def ten_thousand_parts_of_no_known_pipeline(model: Path) -> None:
    parts = {f"part{number}": ["diffusers", "VQ\nModel"] for number in range(10_000)}
    _edit(model / "model_index.json", _class_name="DDPMPipeline", **parts)


@spoilt("holds 1,")
def a_tokenizer_of_many_files(model: Path) -> None:
    for number in range(1001):
        (model / "tokenizer" / f"{number}.txt").write_text("")


@spoilt("the weights do not fit the configuration")
def a_tensor_with_a_name_of_many_lines(model: Path) -> None:
    state = load_file(model / "unet" / WEIGHTS)
    save_file(state | {"a\nb\x1b[2J": torch.ones(1)}, model / "unet" / WEIGHTS)


@spoilt("larger than its weights")
def a_text_encoder_of_more_numbers_than_the_file_has(model: Path) -> None:
    _edit(model / "text_encoder" / "config.json", intermediate_size=2**17, num_hidden_layers=64)


def _cached(place: Path) -> tuple[Path, list[str]]:
    model, line = _model(place)
    root = place / "models--owner--name"
    (root / "snapshots").mkdir(parents=True)
    (root / "refs").mkdir()
    model.rename(root / "snapshots" / "abc")
    return root, [root.name, *line[1:]]


@hostile("pipe", command="audit")
def a_pipe_for_the_reference_of_a_cache(place: Path) -> list[str]:
    root, line = _cached(place)
    os.mkfifo(root / "refs" / "main")
    return line


@hostile("more than", command="audit")
def a_gigabyte_for_the_reference_of_a_cache(place: Path) -> list[str]:
    root, line = _cached(place)
    (root / "refs" / "main").touch()
    os.truncate(root / "refs" / "main", 2**30)
    return line


@hostile("link that leads out of the model's folder", command="audit")
def a_snapshot_that_leads_out_of_its_cache(place: Path) -> list[str]:
    root, line = _cached(place)
    (root / "snapshots" / "abc" / "unet").rename(place / "elsewhere")
    (root / "snapshots" / "abc" / "unet").symlink_to("../../../elsewhere")
    return line


@hostile("its models are no folders in it", command="audit")
def shadow_models_that_lie_elsewhere(place: Path) -> list[str]:
    _, line = _model(place, "latent, KL")
    (place / "shadows").mkdir()
    record = {"models": ["../model", "/etc"], "digest": "0" * 64}
    (place / "shadows" / "shadows.json").write_text(json.dumps(record))
    return [*line[:2], "--attacks", "lira(t=100)", "--shadows", "shadows", "--out", "run"]


@hostile("pipe", command="audit")
def a_reference_with_a_pipe(place: Path) -> list[str]:
    _, line = _model(place, "latent, KL")
    other = Path(shutil.copytree(place / "model", place / "other"))
    (other / "unet" / "config.json").unlink()
    os.mkfifo(other / "unet" / "config.json")
    return [*line, "--reference", "other"]
