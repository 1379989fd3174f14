"""How many bits a network computes in: what was asked, or what works here.

Half precision is not a matter of the device's kind alone. A CPU that knows AVX2 and no more
multiplies matrices in bfloat16, but oneDNN has no bfloat16 LSTM for it. So each kind of layer that
a network holds is tried, tiny and once, before training begins; where one fails, the training runs
in 32 bits and says so. What is tried is the layer alone: an error of the training itself is never
taken for one of the precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from trainers.base import Run


@dataclass(frozen=True)
class Precision:
    """What a network computes in.

    Attributes:
        device: where it computes.
        type: of its matrix products: float32, float16 or bfloat16.
    """

    device: torch.device
    type: torch.dtype

    @property
    def bits(self) -> int:
        """16 or 32, as the parameter ``precision`` has it."""
        return 32 if self.type is torch.float32 else 16

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        if self.bits == 32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.type)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Return the scaling of gradients, which float16 alone needs; else it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.type is torch.float16)

    def facts(self) -> dict[str, Any]:
        """Return what belongs to ``effective`` in the metadata."""
        return {"precision": self.bits, "forward_type": _name(self.type)}


def choose(bits: int, model: nn.Module, run: Run, device: torch.device) -> Precision:
    """Return what `model` is to compute in; a warning tells where that is not what was asked.

    The random generators are left as they are.

    Args:
        bits: what was asked, 16 or 32.
        model: the network, whose layers decide what has to work.
        run: takes the warning.
        device: where it computes.
    """
    if bits == 32:
        return Precision(device, torch.float32)
    # float16 is what GPUs of any age have, and needs its gradients scaled; CPUs have bfloat16.
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    for layer in dict.fromkeys(_kinds(model)):
        trouble = trouble_with(layer, device, half)
        if trouble is not None:
            run.warn(
                f"asked precision {bits}, trained with 32: {layer.kind.__name__} layers do not "
                f"compute in {_name(half)} on this {_DEVICES.get(device.type, device.type)} "
                f"({trouble})"
            )
            return Precision(device, torch.float32)
    return Precision(device, half)


@dataclass(frozen=True)
class Layer:
    """A kind of layer, with what decides which kernels it needs; its widths do not.

    Attributes:
        kind: its class.
        deep: a recurrent one of several layers.
        bidirectional: a recurrent one that reads both ways.
    """

    kind: type[nn.Module]
    deep: bool = False
    bidirectional: bool = False

    def tiny(self) -> tuple[nn.Module, list[Any]]:
        """Return a small one of its kind, and inputs for it."""
        make: Any = self.kind
        if self.kind in _RECURRENT:
            sequences = torch.ones(2, 3, 4)
            packed = rnn.pack_padded_sequence(sequences, [3, 2], batch_first=True)
            depth = 2 if self.deep else 1
            made = make(4, 4, depth, batch_first=True, bidirectional=self.bidirectional)
            return made, [sequences, packed]
        if self.kind in _CONVOLUTIONS:
            return make(2, 2, 3), [torch.ones(2, 2, *[5] * _CONVOLUTIONS[self.kind])]
        return make(4, 4), [torch.ones(2, 4)]


_RECURRENT: tuple[type[nn.Module], ...] = (nn.LSTM, nn.GRU, nn.RNN)
_CONVOLUTIONS: dict[type[nn.Module], int] = {
    nn.Conv1d: 1,
    nn.Conv2d: 2,
    nn.Conv3d: 3,
    nn.ConvTranspose1d: 1,
    nn.ConvTranspose2d: 2,
    nn.ConvTranspose3d: 3,
}
_TRIED = (*_RECURRENT, *_CONVOLUTIONS, nn.Linear)
_DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def _kinds(model: nn.Module) -> Iterator[Layer]:
    for module in model.modules():
        kind = next((known for known in _TRIED if isinstance(module, known)), None)
        if kind is None:
            continue
        if isinstance(module, nn.RNNBase):
            yield Layer(kind, deep=module.num_layers > 1, bidirectional=module.bidirectional)
        else:
            yield Layer(kind)


@cache
def trouble_with(layer: Layer, device: torch.device, half: torch.dtype) -> str | None:
    """Return why such layers do not compute in `half` on `device`; None where they do.

    Raises:
        RuntimeError: they do not compute in 32 bits either, or memory ran out, so that it is not
            the precision that is at fault.
    """
    try:
        _compute(layer, Precision(device, half))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        _compute(layer, Precision(device, torch.float32))
        return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return None


def _compute(layer: Layer, precision: Precision) -> None:
    """Go forward and back as training does, and forward as evaluation does."""
    with torch.random.fork_rng(devices=()):
        module, inputs = layer.tiny()
    module = module.to(precision.device)
    for values in inputs:
        given = values.to(precision.device)
        with torch.enable_grad():
            with precision.autocast():
                answer = _tensor(module(given))
            torch.autograd.backward(answer.float().sum())
        with torch.inference_mode(), precision.autocast():
            module.eval()
            module(given)
            module.train()
    if precision.device.type == "cuda":
        torch.cuda.synchronize(precision.device)  # what a kernel fails of is told late


def _tensor(answer: Any) -> Tensor:
    """Return what a layer answered, of a recurrent one without the last state."""
    if isinstance(answer, tuple):
        answer = answer[0]
    found: Tensor = answer.data if isinstance(answer, rnn.PackedSequence) else answer
    return found


def _name(of: torch.dtype) -> str:
    return str(of).removeprefix("torch.")
