"""`latent-text`: a small Stable Diffusion, whose text encoder is learnt with it (Rombach et al., arXiv 2112.10752)."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from trainedon.errors import UserError
from trainedon.training.families.latent_family import LatentLesson, LatentRecipe
from trainedon.training.families.lesson import Lesson, Material, captioned, dropped, noised_batch, weights_from

START, END = "<|startoftext|>", "<|endoftext|>"
HEADS = 4
PRIVATE = 0xE000  # the first of the characters that mean nothing


@dataclass(frozen=True)
class TextRecipe(LatentRecipe):
    """words: channels of the text encoder, of `word_layers` layers. tokens: the length that captions are cut to.

    merges: how many parts of words the vocabulary has at most, beside single letters. dropout: share of the rows whose
    caption is replaced by the empty one.
    """

    family: ClassVar[str] = "latent-text"
    condition: ClassVar[str | None] = "caption"

    words: int = 64
    word_layers: int = 2
    tokens: int = 24
    merges: int = 1000
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(width % HEADS for width in self.widths) or not self.attention:
            raise UserError(f"captions come in by attention: give widths that {HEADS} divides, without --no-attention")

    def lesson(self, material: Material) -> Lesson:
        return TextLesson(self, material)


class TextLesson(LatentLesson):
    """A `StableDiffusionPipeline` folder."""

    recipe: TextRecipe

    def __init__(self, recipe: TextRecipe, material: Material) -> None:
        super().__init__(recipe, material)
        captions = captioned(material)
        self.tokenizer = make_tokenizer(material.texts or captions, recipe.merges, recipe.tokens)
        self.numbers, self.empty = numbered(self.tokenizer, captions), numbered(self.tokenizer, [""])
        channels, side = self.latents.shape[1:3]
        with weights_from(recipe.seed):
            text_encoder = CLIPTextModel(_text_config(recipe, self.tokenizer))
            unet = _unet(recipe, side, channels)
        self.network = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
        self.network.to(memory_format=torch.channels_last).train()

    def loss(self, step: int) -> torch.Tensor:
        rows, t, x_t, aim = noised_batch(self.recipe, self.latents, self.scheduler, step)
        without = dropped(self.recipe, len(rows), self.recipe.dropout, step)
        numbers = torch.where(without[:, None], self.empty, self.numbers[rows])  # (b, tokens)
        words = self.network["text_encoder"](numbers).last_hidden_state  # (b, tokens, words)
        answer = self.network["unet"](x_t, t, encoder_hidden_states=words).sample
        return torch.nn.functional.mse_loss(answer, aim)

    def save(self, network: Any, folder: Path) -> None:
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=network["text_encoder"],
            tokenizer=self.tokenizer,
            unet=network["unet"],
            scheduler=self.scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder, safe_serialization=True)


def numbered(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> torch.Tensor:
    """The tokens of each caption, cut and filled up to the tokenizer's length as pipelines do: int64 (n, tokens)."""
    length = tokenizer.model_max_length
    padded = tokenizer(list(captions), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    numbers: torch.Tensor = padded.input_ids
    return numbers


def make_tokenizer(texts: Sequence[str], merges: int, length: int) -> CLIPTokenizer:
    """A CLIP tokenizer whose vocabulary is made from these texts; it can spell any other text in single bytes.

    As in CLIP's own, all bytes come first, then all bytes that end a word, then what was merged, the end last.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    with tempfile.TemporaryDirectory() as folder:
        _write_vocabulary(Path(folder), alphabet, [])
        plain = CLIPTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
        cleaned = [plain.normalizer.normalize_str(text) for text in sorted(set(texts))]
        words = [[word for word, _ in plain.pre_tokenizer.pre_tokenize_str(text)] for text in cleaned]
        _write_vocabulary(Path(folder), alphabet, _learn_merges(words, alphabet, merges))
        return CLIPTokenizer.from_pretrained(folder, model_max_length=length, local_files_only=True)


def _learn_merges(texts: Sequence[Sequence[str]], alphabet: Sequence[str], merges: int) -> list[list[str]]:
    """Byte-pair merges for words spelled in `alphabet`, the end of a word marked as CLIP does.

    While they are learnt, one character stands for the last letter of a word: the library's own end mark is numbered
    in the random order of a hash table, by which it decides between pairs that are equally frequent.
    """
    ends = {letter: chr(PRIVATE + place) for place, letter in enumerate(alphabet)}
    spelled = {end: letter + "</w>" for letter, end in ends.items()}
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(
        [" ".join(word[:-1] + ends[word[-1]] for word in words) for words in texts],
        trainers.BpeTrainer(
            vocab_size=2 * len(alphabet) + merges,
            initial_alphabet=[*alphabet, *spelled],
            show_progress=False,
        ),
    )
    learnt = json.loads(learner.to_str())["model"]["merges"]
    pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in learnt]
    return [["".join(spelled.get(letter, letter) for letter in part) for part in pair] for pair in pairs]


def _write_vocabulary(folder: Path, alphabet: Sequence[str], pairs: Sequence[Sequence[str]]) -> None:
    """`vocab.json` and `merges.txt`, the two files of which every version of transformers makes a CLIP tokenizer."""
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *map("".join, pairs), START, END]
    numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(numbers), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, pairs), ""]), "utf-8")


def _text_config(recipe: TextRecipe, tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.words,
        intermediate_size=4 * recipe.words,
        num_hidden_layers=recipe.word_layers,
        num_attention_heads=HEADS,
        max_position_embeddings=recipe.tokens,
        projection_dim=recipe.words,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _unet(recipe: TextRecipe, size: int, channels: int) -> UNet2DConditionModel:
    """With cross-attention at every level: a small one has none to spare."""
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=recipe.layers,
        block_out_channels=recipe.widths,
        down_block_types=("CrossAttnDownBlock2D",) * len(recipe.widths),
        up_block_types=("CrossAttnUpBlock2D",) * len(recipe.widths),
        cross_attention_dim=recipe.words,
        attention_head_dim=HEADS,  # as in Stable Diffusion 1, this is the number of heads
        norm_num_groups=math.gcd(16, *recipe.widths),
    )
