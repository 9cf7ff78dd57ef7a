"""What an adapter makes of one weight W, in double precision.

LoRA: W + s B A (Hu et al., arXiv 2106.09685, section 4.1); LoHa: W + s (B1 A1) * (B2 A2) (Hyeon-Woo et al., arXiv
2108.06098); LoKr: W + s (W1 kron W2) (Yeh et al., arXiv 2309.14859); DoRA: m V / |V|, V = W + s B A (Liu et al., arXiv
2402.09353, eq. 5). s = alpha / r.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from trainedon.targets.reading.model_files import brief

Factors = dict[str, torch.Tensor]

LORA, EMBEDDING = {"down", "up"}, {"embedding_down", "embedding_up"}
LOHA = {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}
LOHA_TUCKER = {"hada_t1", "hada_t2"}
CORES = {"mid", "hada_t1", "hada_t2", "lokr_t2"}
MOST_RANK = 8192
MAGNITUDES = {"dora_scale", "magnitude"}
BIASES = {"diff_b", "b_norm", "up_bias", "bias"}
DIFFERENCES = {"diff", "w_norm"}


class DoesNotFit(ValueError):
    """What is wrong with the tensors of one layer."""


def kind_of(factors: Factors) -> str:
    """`lora`, `embedding`, `loha`, `lokr`, `difference`, `weight`, or `bias` where the bias alone changes. Raises
    DoesNotFit when there is one too many or too few."""
    have = set(factors) - MAGNITUDES - BIASES - {"alpha"}
    second = [{"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}, {"lokr_w2_a", "lokr_w2_b", "lokr_t2"}]
    kinds: dict[str, list[set[str]]] = {
        "lora": [LORA, LORA | {"mid"}],
        "embedding": [EMBEDDING],
        "loha": [LOHA, LOHA | LOHA_TUCKER],
        "lokr": [one | two for one in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"}) for two in second],
        "difference": [{"diff"}, {"w_norm"}],
        "weight": [{"weight"}],
        "bias": [set()],
    }
    found = next((kind for kind, sets in kinds.items() if have in sets), None)
    if found is None:
        raise DoesNotFit(f"{', '.join(sorted(factors))} make no whole change")
    if found in ("difference", "weight", "bias", "embedding"):
        extra = set(factors) & (MAGNITUDES if found == "embedding" else MAGNITUDES | {"alpha"})
        if extra:
            raise DoesNotFit(f"{', '.join(sorted(extra))} without the rest")
    if found != "lora" and "up_bias" in factors:
        raise DoesNotFit("a bias of lora_up without the rest")
    if len(set(factors) & MAGNITUDES) > 1 or len(set(factors) & BIASES) > 1:
        raise DoesNotFit(f"{', '.join(sorted(factors))} at once")
    return found


def rank_of(factors: Factors) -> int | None:
    """None where nothing was reduced to a rank. Raises DoesNotFit for a rank of 0."""
    for name in ("down", "embedding_down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if name in factors:
            if not factors[name].dim() or not len(factors[name]):
                raise DoesNotFit(f"{name} of no rank")
            _check_rank(name, len(factors[name]))
            return len(factors[name])
    return None


def _check_rank(name: str, rank: int) -> None:
    """What is multiplied on the way is as large as the rank, whatever the weight's size."""
    if rank > MOST_RANK:
        raise DoesNotFit(f"{name} of a rank of {rank:,}, where no adapter has more than {MOST_RANK:,}")


def changed(weight: torch.Tensor, factors: Factors, kind: str, scale: float) -> torch.Tensor:
    """W with the change. weight: float64 (out, in, ...). Raises DoesNotFit for shapes that do not."""
    factors = {name: value.double() for name, value in factors.items()}
    try:
        for name in CORES & set(factors):
            _check_rank(name, max(factors[name].shape[:2]))
        if _size(factors, kind) != weight.numel():  # before a product that may be of any size
            raise DoesNotFit(f"a change of {_size(factors, kind)} numbers for a weight of {_sides(weight)}")
        added = _ADDED[kind](factors, scale)
    except (RuntimeError, IndexError, TypeError, MemoryError) as error:
        raise DoesNotFit(f"its tensors do not fit one another ({brief(error)})") from None
    moved = _fitting(added, weight) if kind == "weight" else weight + _fitting(added, weight)
    if "dora_scale" in factors:
        return _decomposed(moved, _broad(factors["dora_scale"], weight))
    if "magnitude" in factors:
        if factors["magnitude"].numel() != len(weight):
            raise DoesNotFit(f"{factors['magnitude'].numel()} magnitudes for {len(weight)} outputs")
        return _decomposed(moved, factors["magnitude"].reshape(-1, *[1] * (weight.dim() - 1)))
    return moved


def _size(factors: Factors, kind: str) -> int:
    """How many numbers the change has."""

    def kernel(name: str) -> int:
        return factors[name][0, 0].numel() if name in factors else 1

    if kind == "lora":
        return len(factors["up"]) * factors["down"][0].numel() * kernel("mid")
    if kind == "embedding":
        return len(factors["embedding_up"]) * factors["embedding_down"].shape[1]
    if kind == "loha":
        halves = {
            (
                factors[f"hada_w{n}_a"].shape["hada_t1" in factors],
                factors[f"hada_w{n}_b"].shape[1],
                kernel(f"hada_t{n}"),
            )
            for n in (1, 2)
        }
        if len(halves) > 1:  # which would be spread out to one another's size
            raise DoesNotFit("its two products are of different sizes")
        return math.prod(halves.pop())
    if kind == "lokr":
        first = factors["lokr_w1"].numel() if "lokr_w1" in factors else _product(factors, "lokr_w1")
        if "lokr_t2" in factors:
            second = factors["lokr_w2_a"].shape[1] * factors["lokr_w2_b"].shape[1] * kernel("lokr_t2")
        else:
            second = factors["lokr_w2"].numel() if "lokr_w2" in factors else _product(factors, "lokr_w2")
        return first * second
    return next(factors[name] for name in (*sorted(DIFFERENCES), "weight") if name in factors).numel()


def _product(factors: Factors, name: str) -> int:
    return len(factors[f"{name}_a"]) * factors[f"{name}_b"][0].numel()


def _fitting(added: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """In the shape of W: a product of matrices may be meant for a convolution, and one of 1 x 1 for a matrix."""
    matrix = added.flatten(1) if added.dim() > 2 and added[0, 0].numel() == 1 else added
    whole = matrix.dim() == 2 and weight.dim() > 2 and len(matrix) == len(weight)
    if added.shape != weight.shape and matrix.shape != weight.shape and not whole:
        raise DoesNotFit(f"a change of {_sides(added)} for a weight of {_sides(weight)}")
    return added.reshape(weight.shape)


def _sides(value: torch.Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "1"


def _lora(factors: Factors, scale: float) -> torch.Tensor:
    down, up = factors["down"], factors["up"]
    if up.numel() != len(up) * up.shape[1]:
        raise DoesNotFit(f"lora_up of {_sides(up)}")
    flat = up.reshape(up.shape[:2])
    if "mid" in factors:
        return scale * _tucker(factors["mid"], flat.T, down.reshape(down.shape[:2]))
    return scale * (flat @ down.flatten(1)).reshape(len(flat), *down.shape[1:])


def _tucker(core: torch.Tensor, out: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """core: (r, s, ...). out: (r, outputs). inner: (s, inputs). To (outputs, inputs, ...)."""
    if core.shape[:2] != (len(out), len(inner)):  # einsum would spread out a side of 1
        raise DoesNotFit(f"a core of {_sides(core)} between ranks {len(out)} and {len(inner)}")
    return torch.einsum("ij...,ip,jr->pr...", core, out, inner)


def _embedding(factors: Factors, scale: float) -> torch.Tensor:
    return scale * (factors["embedding_up"] @ factors["embedding_down"]).T


def _loha(factors: Factors, scale: float) -> torch.Tensor:
    return scale * _half(factors, "1") * _half(factors, "2")


def _half(factors: Factors, number: str) -> torch.Tensor:
    out, inner = factors[f"hada_w{number}_a"], factors[f"hada_w{number}_b"]
    tucker = factors.get(f"hada_t{number}")
    return out @ inner if tucker is None else _tucker(tucker, out, inner)


def _lokr(factors: Factors, scale: float) -> torch.Tensor:
    first, second = factors.get("lokr_w1"), factors.get("lokr_w2")
    if first is None:
        first = factors["lokr_w1_a"] @ factors["lokr_w1_b"]
    if second is None:
        out, inner, tucker = factors["lokr_w2_a"], factors["lokr_w2_b"], factors.get("lokr_t2")
        second = out @ inner.flatten(1) if tucker is None else _tucker(tucker, out, inner)
    # a kernel's places lie innermost in both, so that the product of matrices is the product of kernels
    whole = torch.kron(first, second.flatten(1))
    shape = (len(whole), first.shape[1] * second.shape[1], *second.shape[2:])
    return scale * whole.reshape(shape)


_ADDED: dict[str, Callable[[Factors, float], torch.Tensor]] = {
    "lora": _lora,
    "embedding": _embedding,
    "loha": _loha,
    "lokr": _lokr,
    "difference": lambda factors, _: next(factors[name] for name in DIFFERENCES if name in factors),
    "weight": lambda factors, _: factors["weight"],
}


def _broad(magnitude: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """LyCORIS keeps one magnitude an output, (out, 1, ...), or, as its older versions, one an input, (1, in, ...)."""
    outputs, inputs = len(weight), weight.shape[1] if weight.dim() > 1 else 0
    rows, rest = magnitude.shape[0] if magnitude.dim() > 1 else 0, magnitude.numel()
    if rows == outputs and rest == outputs:
        return magnitude.reshape(outputs, *[1] * (weight.dim() - 1))
    if rows == 1 and magnitude.shape[1] == inputs and rest == inputs:
        return magnitude.reshape(1, inputs, *[1] * (weight.dim() - 2))
    raise DoesNotFit(f"dora_scale of {_sides(magnitude)} for a weight of {_sides(weight)}")


def _decomposed(moved: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    over = [side for side in range(moved.dim()) if magnitude.shape[side] == 1]
    norm = moved.square().sum(over, keepdim=True).sqrt()
    return torch.where(norm > 0, magnitude * moved / norm, moved)
