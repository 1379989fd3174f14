"""The precision of a network: the requested one if it works here, else 32 bits.

Support for half precision depends on more than the kind of device. A CPU with AVX2 only can
multiply matrices in bfloat16, but oneDNN has no bfloat16 LSTM for it. So each kind of layer in the
network is tested once, in a tiny version, before training begins; if one fails, the training runs
in 32 bits with a warning. Only the layer is tested, so an error of the training itself is never
mistaken for one of the precision.
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
    """The precision that a network computes in.

    Attributes:
        device: device of the network.
        type: type of matrix products: float32, float16 or bfloat16.
    """

    device: torch.device
    type: torch.dtype

    @property
    def bits(self) -> int:
        """16 or 32, the values of the parameter ``precision``."""
        return 32 if self.type is torch.float32 else 16

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for a forward pass."""
        if self.bits == 32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.type)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Return the gradient scaler, enabled only for float16."""
        return torch.amp.GradScaler(self.device.type, enabled=self.type is torch.float16)

    def facts(self) -> dict[str, Any]:
        """Return the entries for ``effective`` in the metadata."""
        return {"precision": self.bits, "forward_type": _name(self.type)}


def choose(bits: int, model: nn.Module, run: Run, device: torch.device) -> Precision:
    """Return the precision for `model`, with a warning if it is not the requested one.

    The random generators are not changed.

    Args:
        bits: requested precision, 16 or 32.
        model: the network; its layers are tested.
        run: receives the warning.
        device: device of the network.
    """
    if bits == 32:
        return Precision(device, torch.float32)
    # GPUs of any age support float16, which needs scaled gradients; CPUs support bfloat16.
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    for layer in dict.fromkeys(_kinds(model)):
        trouble = trouble_with(layer, device, half)
        if trouble is not None:
            run.warn(
                f"requested precision {bits}, trained with 32: {layer.kind.__name__} layers do not "
                f"compute in {_name(half)} on this {_DEVICES.get(device.type, device.type)} "
                f"({trouble})"
            )
            return Precision(device, torch.float32)
    return Precision(device, half)


@dataclass(frozen=True)
class Layer:
    """A kind of layer, with the properties that determine its kernels (widths do not).

    Attributes:
        kind: class of the layer.
        deep: whether it is recurrent with several layers.
        bidirectional: whether it is recurrent and bidirectional.
    """

    kind: type[nn.Module]
    deep: bool = False
    bidirectional: bool = False

    def tiny(self) -> tuple[nn.Module, list[Any]]:
        """Return a tiny layer of this kind, and inputs for it."""
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
    """Return why `layer` cannot compute in `half` on `device`; None if it can.

    Raises:
        RuntimeError: it cannot compute in 32 bits either, or memory ran out, so the precision is
            not the cause.
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
    """Run forward and backward as in training, and forward as in evaluation."""
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
        torch.cuda.synchronize(precision.device)  # kernels report errors late


def _tensor(answer: Any) -> Tensor:
    """Return the output of a layer; for a recurrent layer, without the last state."""
    if isinstance(answer, tuple):
        answer = answer[0]
    found: Tensor = answer.data if isinstance(answer, rnn.PackedSequence) else answer
    return found


def _name(of: torch.dtype) -> str:
    return str(of).removeprefix("torch.")
