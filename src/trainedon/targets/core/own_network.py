"""A network that somebody brings along: any callable, told of pictures, noise and time as it was in training."""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.batching import PAD, Batching
from trainedon.targets.core.blame import hers
from trainedon.targets.core.device import chosen
from trainedon.targets.core.identity import Identity, OwnCode
from trainedon.targets.core.own_noise import Numbers, OwnNoise, noise_of
from trainedon.targets.core.own_rows import fit_rows
from trainedon.targets.core.path import NoisePath
from trainedon.targets.core.target import Target
from trainedon.targets.core.trial import check_answer, tried
from trainedon.targets.core.weights_digest import Part, Weights, bound_of, module_of, parts_of, weights_digest

Callee = Callable[..., torch.Tensor]  # (x_t, t) or, with classes, (x_t, t, labels) -> the answer


@dataclass(eq=False, repr=False)
class OwnNetwork(Target):
    """What `Target.of` makes of a callable.

    network: called with x_t float32 (n, c, h, w) in its own range and scale, t (n,), and labels int64 (n,) where it has
    classes. noise: its own path. learned_sigma: whether it answers 2c channels, of which the latter half is a variance.
    layer: of a module, the part whose output `features` gives. gradients: whether its answers can be differentiated.
    parts: what its digest is over; empty where that is not known. told: how it is asked, which is in the digest too.
    """

    network: Callee = None  # type: ignore[assignment]
    noise: OwnNoise = None  # type: ignore[assignment]
    learned_sigma: bool = False
    layer: str | None = None
    gradients: bool = True
    parts: tuple[Part, ...] = ()
    told: str = ""

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        answer = self.asked(x_t, t, condition)
        return answer if self.noise.is_seen_as_it_is else self.noise.on_path(x_t, t, answer)

    def asked(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """The network's own answer to what `predict` is given, on its own path."""
        x = self.noise.given(x_t, t)
        numbers = self.noise.numbers[t.cpu()].to(self.device)
        labels = (condition.labels,) if isinstance(condition, Classes) else ()
        given = self._given(x, numbers, labels)
        with hers(f"{self.identity.name} fails", f"; it was given {given}{self._other_weights()}"):
            answer = self.network(x, numbers, *labels)
        try:
            check_answer(answer, x, self.learned_sigma, given)
        except UserError as error:
            raise UserError(f"{self.identity.name} {error}") from None
        return answer[:, : self.shape[0]]

    def renew(self) -> Identity:
        module = module_of(self.network)
        if module is not None:
            module.eval()
        digest = self._digest()
        if digest != self.identity.digest:
            self.identity = replace(self.identity, digest=digest)
            self.kept.clear()  # of the weights before
        return self.identity

    def _digest(self) -> str:
        """Over the weights as they are now; a new one each time where they are not known."""
        if not self.parts:
            return hashlib.sha256(f"not hashed {uuid.uuid4()}".encode()).hexdigest()
        numbers = [self.noise.native.alphas, self.noise.native.sigmas, self.noise.numbers]
        return weights_digest([*self.parts, *numbers], self.told)

    def _given(self, x: torch.Tensor, numbers: torch.Tensor, labels: tuple[torch.Tensor, ...]) -> str:
        """What the network is called with, in words."""
        kind = str(numbers.dtype).removeprefix("torch.")
        low, high = self.noise.numbers.min().item(), self.noise.numbers.max().item()
        more = f" and labels int64 [{len(x)}]" if labels else ""
        return f"x_t float32 {list(x.shape)} and t {kind} [{len(x)}] from {low:g} to {high:g}{more}"

    def _other_weights(self) -> str:
        """Of weights that are not of the type of the pictures, which is what most errors come of, what to do."""
        module = module_of(self.network)
        floats = (one.dtype for one in (module.parameters() if module else ()) if one.is_floating_point())
        kind = next(floats, torch.float32)
        if kind == torch.float32:
            return ""
        return f", and its weights are {str(kind).removeprefix('torch.')}: give network.float()"

    @property
    def differentiable(self) -> bool:
        return self.gradients

    @property
    def shows_features(self) -> bool:
        return self.layer is not None

    def features(
        self, states: torch.Tensor, t: int, layer: str | None = None, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        name = layer or self.layer
        if name is None:
            return super().features(states, t, layer, condition)
        part, seen = part_of(self.network, name), list[torch.Tensor]()
        hook = part.register_forward_hook(lambda _module, _inputs, output: seen.append(output))

        def observed(x: torch.Tensor, times: torch.Tensor, given: Condition) -> torch.Tensor:
            seen.clear()
            self.predict(x, times, given)
            if len(seen) != 1 or not isinstance(seen[0], torch.Tensor) or seen[0].ndim != 4 or len(seen[0]) != len(x):
                raise UserError(
                    f"layer {name!r} is no map of features: choose a part that is asked once and gives (n, c, h, w)"
                )
            return seen[0].float()

        try:
            with torch.no_grad():
                alpha, _ = self.path.at(t, states)
                times = torch.full((len(states),), t, device=self.device)
                found = self.batched(observed, alpha * states, times, condition)
        finally:
            hook.remove()
        self.evaluations.forward += len(states)
        return found.contiguous()


def part_of(network: Any, layer: str) -> nn.Module:
    """The part of a module with this name. Raises UserError."""
    module = module_of(network)
    if module is None:
        raise UserError(f"layer {layer!r}: the network is a function, which shows no parts: give the module itself")
    try:
        return module.get_submodule(layer)
    except AttributeError:
        names = [name for name, _ in module.named_modules() if name and "." not in name]
        raise UserError(f"the network has no layer {layer!r}: it has {', '.join(names[:12])}") from None


def own_network(
    network: Callee,
    *,
    shape: tuple[int, int, int],
    prediction: str,
    betas: Numbers | str | None = None,
    sigmas: Numbers | str | None = None,
    path: NoisePath | None = None,
    times: Numbers | str | None = None,
    pixels: tuple[float, float] = (-1.0, 1.0),
    classes: int | None = None,
    learned_sigma: bool = False,
    layer: str | None = None,
    weights: Weights | None = None,
    name: str | None = None,
    device: str | torch.device | None = None,
    rows: int = 32,
) -> OwnNetwork:
    """See `Target.of`."""
    if not callable(network):
        raise UserError(f"the network is of type {type(network).__name__}: give what is called with (x_t, t)")
    shape = _shape(shape)
    if classes is not None and (type(classes) is not int or classes < 1):
        raise UserError(f"classes {classes!r}: give how many there are, or None")
    if type(rows) is not int or rows < 1:
        raise UserError(f"rows {rows!r}: give how many rows may go through the network at once, 1 or more")
    noise, words = noise_of(betas, sigmas, path, times, prediction, pixels)
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise UserError(f"name {name!r}: give a text, by which the report calls the network")
    if layer is not None and not isinstance(layer, str):
        raise UserError(f"layer {layer!r}: give the name of a module's part, such as 'up.0'")
    module, parts, bound = module_of(network), parts_of(network, weights), bound_of(network)
    place = _placed(module, device)
    modules = [part for part in parts if isinstance(part, nn.Module)]
    asked = f"{words}{'; learned sigma' if learned_sigma else ''}"
    known = bool(parts) and bound.known
    identity = Identity(
        name=name or _called(network),
        digest="",  # below
        family="own network" + (", class-conditional" if classes else ""),
        parameters=sum(parameter.numel() for one in modules for parameter in one.parameters()),
        own_code=OwnCode(asked, hashed=known),
    )
    target = OwnNetwork(
        identity=identity,
        shape=shape,
        path=noise.seen,
        prediction=noise.prediction,
        classes=classes,
        device=place,
        batching=Batching(max(PAD, rows)),
        network=network,
        noise=noise,
        learned_sigma=learned_sigma,
        layer=layer,
        parts=(*parts, *bound.parts) if known else (),
        told=f"{asked}; shape {shape}; classes {classes}{bound.words}",
    )
    target.renew()
    fit_rows(target)
    _try(target)
    return target


def _try(target: OwnNetwork) -> None:
    try:
        steps = target.timesteps
        target.gradients = tried(target.asked, target.shape, steps, target.classes, target.device)
    except UserError as error:
        name = target.identity.name
        raise UserError(str(error) if str(error).startswith(name) else f"{name} {error}") from error
    if target.layer is not None:
        part_of(target.network, target.layer)
        x = torch.zeros(1, *target.shape, device=target.device)
        condition = UNCONDITIONAL if target.classes is None else Classes(torch.zeros(1, dtype=torch.int64))
        target.features(x, 0, condition=condition.to(target.device))
        target.evaluations.forward = 0


def _placed(module: nn.Module | None, device: str | torch.device | None) -> torch.device:
    """Where the network works, whose module is put into evaluation mode there."""
    if module is None:
        return chosen("cpu" if device is None else str(device))
    module.eval()
    if device is not None:
        module.to(chosen(str(device)))
    lies = next((one.device for one in [*module.parameters(), *module.buffers()]), device or "cpu")
    return chosen(str(lies))


def _shape(given: Any) -> tuple[int, int, int]:
    whole = isinstance(given, tuple | list | torch.Size) and all(type(side) is int and side > 0 for side in given)
    if not whole or len(given) != 3 or given[0] not in (1, 3):
        raise UserError(f"shape {given!r}: give (channels, height, width) of the pictures, with 1 or 3 channels")
    c, h, w = given
    return c, h, w


def _called(network: Any) -> str:
    if isinstance(network, functools.partial):
        return _called(network.func)
    named = getattr(network, "__name__", "") or type(network).__name__
    return "own network" if named == "<lambda>" else str(named)
