"""What stages say to each other: one stage's outbox is the next one's inbox.

Per request, in order: one `Start`, any number of `Chunk`s, one `Finish`; or `Failed` or `Abort` at any point.
Encoded with msgpack, tensors as an extension type of their own, several messages to a packet; never pickle.
"""

from math import prod
from typing import Any

import msgspec
import torch


class Start(msgspec.Struct, tag=True):
    """A request arrives. `params` is what the stage's `Runner.open` documents; `stages`, which travels on, adds to it
    what the client said to each stage by its name. Who has the higher `priority` waits less."""

    request_id: str
    params: dict[str, Any]
    stages: dict[str, dict[str, Any]] = {}
    priority: int = 0


class Chunk(msgspec.Struct, tag=True):
    """More input for a running request: text ids for a talker, codec frames for a vocoder, PCM for a listener."""

    request_id: str
    data: Any


class Times(msgspec.Struct):
    """A request's time in one stage: `arrived` is Unix time, all others are seconds since then.

    It held a slot from `admitted` on, its `first` output left (None: there was none), and it had `ended`; `worked` is
    the length of all steps that it took part in.
    """

    arrived: float
    admitted: float
    first: float | None
    ended: float
    worked: float


class Finish(msgspec.Struct, tag=True):
    """No more input. `reason` is why: `stop` or `length`; `usage` counts the chunks each stage sent on the way, and
    `times` tells how long it took in each."""

    request_id: str
    reason: str
    usage: dict[str, int] = {}
    times: dict[str, Times] = {}


class Failed(msgspec.Struct, tag=True):
    """The stage could not go on with this request. `error` names a class of `sglang_omni.errors`, `param` the field of
    the request at fault."""

    request_id: str
    error: str
    message: str
    param: str | None = None


class Abort(msgspec.Struct, tag=True):
    """Nobody wants the rest: free everything."""

    request_id: str


class Heartbeat(msgspec.Struct, tag=True):
    """A stage is alive in process `pid`; `state` counts what it holds (`slots`, `free`, `waiting`, ...)."""

    stage: str
    pid: int
    state: dict[str, int]


Message = Start | Chunk | Finish | Failed | Abort | Heartbeat

TENSOR = 1


class _Tensor(msgspec.Struct, array_like=True):
    dtype: str
    shape: list[int]
    body: bytes


def _encode_tensor(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{type(value).__name__} cannot travel between stages")
    value = value.detach().cpu().contiguous()
    dtype = str(value.dtype).removeprefix("torch.")
    body = value.flatten().view(torch.uint8).numpy().tobytes()
    return msgspec.msgpack.Ext(TENSOR, msgspec.msgpack.encode(_Tensor(dtype, list(value.shape), body)))


def _decode_tensor(code: int, data: memoryview) -> torch.Tensor:
    if code != TENSOR:
        raise ValueError(f"unknown extension type {code}")
    tensor = msgspec.msgpack.decode(data, type=_Tensor)
    dtype = getattr(torch, tensor.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"unknown dtype {tensor.dtype!r}")
    if min(tensor.shape, default=0) < 0 or prod(tensor.shape) * dtype.itemsize != len(tensor.body):
        raise ValueError(f"{len(tensor.body)} bytes are no {tensor.dtype} of shape {tensor.shape}")
    if not tensor.body:
        return torch.empty(tensor.shape, dtype=dtype)
    return torch.frombuffer(bytearray(tensor.body), dtype=dtype).reshape(tensor.shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_tensor)
_decoder = msgspec.msgpack.Decoder(list[Message], ext_hook=_decode_tensor)


def encode(messages: list[Message]) -> bytes:
    return _encoder.encode(messages)


def decode(packet: bytes) -> list[Message]:
    """Raises ValueError for a packet that is not a list of messages."""
    try:
        return _decoder.decode(packet)
    except RecursionError:
        raise ValueError("nested too deep") from None
