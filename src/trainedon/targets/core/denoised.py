"""From what a network answers to noise and clean state, whichever of the field's conventions it was trained in."""

from __future__ import annotations

from typing import NamedTuple

import torch

from trainedon.targets.core.path import Prediction

# The smallest alpha that a prediction of the clean picture is divided by: at zero terminal signal-to-noise ratio the
# noise says nothing of the picture, and a large but finite answer is what the callers' clipping expects.
SMALLEST_ALPHA = 2.0**-12


class Denoised(NamedTuple):
    """What the network says of `x_t`: noise and clean picture, each like `x_t` (n, c, h, w)."""

    noise: torch.Tensor
    clean: torch.Tensor


def denoised_by(
    prediction: Prediction, x_t: torch.Tensor, answer: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
) -> Denoised | None:
    """What an answer (n, c, h, w) says of `x_t = alpha x + sigma eps`; None for a prediction that is not known.

    `flow` and `reverse_flow` need alpha + sigma = 1, `v_prediction` alpha^2 + sigma^2 = 1.
    """
    if prediction == "flow":  # the velocity eps - x0 (arXiv 2403.03206, eq. 2 and 5)
        return Denoised(x_t + alpha * answer, x_t - sigma * answer)
    if prediction == "reverse_flow":  # the velocity x0 - eps of a path that leads to the data (arXiv 2210.02747)
        return Denoised(x_t - alpha * answer, x_t + sigma * answer)
    if prediction == "v_prediction":  # arXiv 2202.00512, appendix D
        return Denoised(sigma * x_t + alpha * answer, alpha * x_t - sigma * answer)
    if prediction == "sample":
        return Denoised((x_t - alpha * answer) / sigma.clamp(min=SMALLEST_ALPHA), answer)
    if prediction == "score":  # the gradient of the log-density of x_t, -eps / sigma (arXiv 2011.13456, eq. 7)
        answer = -sigma * answer
    elif prediction != "epsilon":
        return None
    return Denoised(answer, (x_t - sigma * answer) / alpha.clamp(min=SMALLEST_ALPHA))


def answer_of(prediction: Prediction, said: Denoised, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The answer (n, c, h, w) that `denoised_by` would understand so: the way back, onto another path say."""
    noise, clean = said
    if prediction == "flow":
        return noise - clean
    if prediction == "reverse_flow":
        return clean - noise
    if prediction == "v_prediction":
        return alpha * noise - sigma * clean
    if prediction == "score":
        return -noise / sigma
    return clean if prediction == "sample" else noise
