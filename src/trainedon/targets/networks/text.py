"""Text-to-image models: one adapter a family, each conditioned on captions, without guidance."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from typing import Any

import torch

from trainedon.condition import Captions, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.networks.latent import Latent
from trainedon.targets.networks.network import Module
from trainedon.targets.reading.components import quiet
from trainedon.targets.reading.model_files import shown
from trainedon.targets.reading.vocabulary import Unread, unpanicked

Prompt = dict[str, torch.Tensor]  # a caption as a network takes it, by the names of the network's arguments
# Of embedded captions that are kept, the oldest go first beyond so many bytes, and never so that fewer are left than
# the 64 pictures of a shard have, with those of others that controls ask about.
KEPT = 256 * 2**20
AT_LEAST = 160
AESTHETIC = 6.0  # the score that SDXL's refiner is given by default, in place of the size of the result
WORDS = "words"  # the key of bool (tokens,): which of the text's tokens are words of the caption


class Text(Latent):
    """A model that is conditioned on captions.

    Each caption is embedded alone, so that its embedding does not depend on the batch.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offload is None:
            for encoder in self.encoders.values():
                encoder.to(self.device)
        self._embedded: OrderedDict[str, Prompt] = OrderedDict()
        self._bytes = 0  # of these

    @property
    def encoders(self) -> dict[str, Any]:
        """The text encoders that the model has."""
        parts = self.pipeline.components.items()
        return {name: part for name, part in parts if name.startswith("text_encoder") and part is not None}

    @property
    def parts(self) -> dict[str, Any]:
        return super().parts | self.encoders

    @property
    def conditioning(self) -> str:
        return "caption"

    def ready(self) -> None:
        self._prompt("")

    @abstractmethod
    def embed(self, caption: str) -> Prompt:
        """What the network takes for a caption: each (1, ...), and WORDS, bool (tokens,)."""

    def prompts(self, condition: Condition, n: int) -> Prompt:
        """What the network takes for each of n rows, (n, ...) each."""
        texts = texts_of(condition, n)
        known = {text: self._prompt(text) for text in dict.fromkeys(texts)}
        names = next(iter(known.values())).keys() - {WORDS}
        return {name: torch.cat([known[text][name] for text in texts]) for name in names}

    def words(self, condition: Condition, n: int) -> torch.Tensor:
        return torch.stack([self._prompt(text)[WORDS] for text in texts_of(condition, n)]).to(self.device)

    def _prompt(self, caption: str) -> Prompt:
        if caption not in self._embedded:
            self._embedded[caption] = {
                name: value.to(self.device, self._dtype if value.is_floating_point() else value.dtype)
                for name, value in self._embedding(caption).items()
            }
            self._bytes += _nbytes(self._embedded[caption])
            while len(self._embedded) > AT_LEAST and self._bytes > KEPT:
                self._bytes -= _nbytes(self._embedded.popitem(last=False)[1])
        self._embedded.move_to_end(caption)
        return self._embedded[caption]

    def _embedding(self, caption: str) -> Prompt:
        """Raises UserError when the tokenizer cannot read the caption. The warning of pipelines about the end of a long
        caption, which every text encoder truncates, is not printed for each picture."""
        try:
            with torch.no_grad(), quiet(), unpanicked():
                self.make_room(self.encoders)
                return self.embed(caption)
        except Unread as error:
            raise UserError(f"the model's tokenizer cannot read the caption {shown(caption)!r} ({error})") from None


def texts_of(condition: Condition, n: int) -> tuple[str, ...]:
    """The captions of n rows; without a condition, empty ones. Raises TypeError for classes."""
    if isinstance(condition, Classes):
        raise TypeError("it is conditioned on captions, not on classes")
    return condition.texts if isinstance(condition, Captions) else ("",) * n


def _nbytes(prompt: Prompt) -> int:
    return sum(value.nbytes for value in prompt.values())


def in_clip(tokenizer: Any, caption: str) -> torch.Tensor:
    """Which tokens are words, bool (tokens,): not CLIP's first and last one, nor what fills up."""
    length = tokenizer.model_max_length
    count = len(tokenizer(caption, truncation=True, max_length=length).input_ids)
    places = torch.arange(length)
    return (places > 0) & (places < count - 1)


def in_t5(tokenizer: Any, caption: str, length: int) -> torch.Tensor:
    """Which tokens are words, bool (length,): not T5's last one, nor what fills up."""
    count = len(tokenizer(caption, truncation=True, max_length=length).input_ids)
    return torch.arange(length) < count - 1


class StableDiffusion(Text):
    """Stable Diffusion 1 and 2 (arXiv 2112.10752), and their inpainting networks, which take nine channels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._hidden_all: torch.Tensor | None = None

    @property
    def inpaints(self) -> bool:
        return bool(self.config.in_channels == 2 * self.shape[0] + 1)

    def embed(self, caption: str) -> Prompt:
        hidden, _ = self.pipeline.encode_prompt(caption, self.device, 1, False)
        return {"encoder_hidden_states": hidden, WORDS: in_clip(self.pipeline.tokenizer, caption)}

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return network(self._with_mask(x), t, **self._guided(x), **self.prompts(condition, len(x))).sample

    def _guided(self, x: torch.Tensor) -> Prompt:
        """Guidance 1, which is none, for a network that is conditioned on its strength (arXiv 2310.04378, sec. 4.2):
        the embedding of 0."""
        size = self.config.time_cond_proj_dim
        if size is None:
            return {}
        none = self.pipeline.get_guidance_scale_embedding(torch.zeros(1), embedding_dim=size)
        return {"timestep_cond": none.to(x).expand(len(x), -1)}

    def _with_mask(self, x: torch.Tensor) -> torch.Tensor:
        """x with the mask and the kept part that an inpainting network takes: where none is given, all is hidden."""
        if not self.inpaints or x.shape[1] > self.shape[0]:
            return x
        if self._hidden_all is None:
            grey = self.encode(torch.zeros(1, *self.picture, device=self.device))
            self._hidden_all = torch.cat([torch.ones_like(grey[:, :1]), grey], dim=1)
        return torch.cat([x, self._hidden_all.to(x).expand(len(x), -1, -1, -1)], dim=1)


class StableDiffusionXL(StableDiffusion):
    """SDXL (arXiv 2307.01952): two text encoders, conditioned on the picture's size too, uncropped."""

    def embed(self, caption: str) -> Prompt:
        pipe = self.pipeline
        hidden, _, pooled, _ = pipe.encode_prompt(caption, device=self.device, do_classifier_free_guidance=False)
        if not caption and pipe.config.force_zeros_for_empty_prompt:  # as in training without words
            hidden, pooled = torch.zeros_like(hidden), torch.zeros_like(pooled)
        words = in_clip(pipe.tokenizer or pipe.tokenizer_2, caption)
        return {"encoder_hidden_states": hidden, "text_embeds": pooled, WORDS: words}

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        prompts = self.prompts(condition, len(x))
        size = list(self.picture[1:])
        numbers = [*size, 0, 0, *([AESTHETIC] if self.pipeline.config.get("requires_aesthetics_score") else size)]
        sizes = torch.tensor(numbers, device=x.device, dtype=x.dtype).expand(len(x), -1)
        added = {"text_embeds": prompts.pop("text_embeds"), "time_ids": sizes}
        return network(self._with_mask(x), t, added_cond_kwargs=added, **self._guided(x), **prompts).sample


class PixArt(Text):
    """PixArt-alpha and PixArt-sigma (arXiv 2310.00426, 2403.04692)."""

    def embed(self, caption: str) -> Prompt:
        hidden, mask, _, _ = self.pipeline.encode_prompt(caption, do_classifier_free_guidance=False, device=self.device)
        words = in_t5(self.pipeline.tokenizer, caption, hidden.shape[1])
        return {"encoder_hidden_states": hidden, "encoder_attention_mask": mask, WORDS: words}

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        added: dict[str, torch.Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self.network.use_additional_conditions:
            height, width = self.picture[1:]
            added = {
                "resolution": x.new_tensor([[height, width]]).expand(len(x), -1),
                "aspect_ratio": x.new_tensor([[height / width]]).expand(len(x), -1),
            }
        return network(x, timestep=t, added_cond_kwargs=added, **self.prompts(condition, len(x))).sample


class StableDiffusion3(Text):
    """Stable Diffusion 3 (arXiv 2403.03206): words and places are one sequence of a transformer; flow matching."""

    def embed(self, caption: str) -> Prompt:
        pipe = self.pipeline
        hidden, _, pooled, _ = pipe.encode_prompt(
            caption, None, None, device=self.device, do_classifier_free_guidance=False
        )
        clip = in_clip(pipe.tokenizer, caption)
        beyond = hidden.shape[1] - len(clip)
        others = torch.zeros(beyond, dtype=torch.bool)
        if pipe.tokenizer_3 is not None:
            others = in_t5(pipe.tokenizer_3, caption, beyond)
        return {"encoder_hidden_states": hidden, "pooled_projections": pooled, WORDS: torch.cat([clip, others])}

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return network(x, timestep=self.network_time(t, x), **self.prompts(condition, len(x))).sample


class Flux(Text):
    """Flux: a transformer with rotary places, flow matching, fed with squares of 2 x 2 latents.

    One that was distilled takes its guidance as a number: 1, which is none.
    """

    PATCH = 2
    picture_first = False

    @property
    def grid(self) -> tuple[int, int]:
        return self.shape[1] // self.PATCH, self.shape[2] // self.PATCH

    def embed(self, caption: str) -> Prompt:
        hidden, pooled, _ = self.pipeline.encode_prompt(caption, None, device=self.device)
        words = in_t5(self.pipeline.tokenizer_2, caption, hidden.shape[1])
        return {"encoder_hidden_states": hidden, "pooled_projections": pooled, WORDS: words}

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        n, c, h, w = x.shape
        prompts = self.prompts(condition, n)
        packed = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, 4 * c)
        places = torch.cartesian_prod(torch.arange(1), torch.arange(h // 2), torch.arange(w // 2)).to(x)
        words = x.new_zeros(prompts["encoder_hidden_states"].shape[1], 3)
        guidance = x.new_ones(n, dtype=torch.float32) if self.config.guidance_embeds else None
        answer = network(
            packed, timestep=self.network_time(t, x) / 1000, guidance=guidance, img_ids=places, txt_ids=words, **prompts
        ).sample
        return answer.reshape(n, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)
