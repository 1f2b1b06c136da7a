import msgspec
import pytest
import torch

from sglang_omni.sidecar import messages
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Heartbeat, Start


def test_every_message_survives_the_journey():
    sent = [
        Start("a", {"voice": "ethan", "seed": None, "ids": [1, 2]}),
        Chunk("a", b"\x00\x01"),
        Finish("a", "stop", {"talker": 3}),
        Failed("a", "RequestFailed", "the talker failed"),
        Abort("a"),
        Heartbeat("talker", 1234, {"free": 8}),
    ]
    assert messages.decode(messages.encode(sent)) == sent


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 5)])
def test_tensors_keep_dtype_shape_and_bits(dtype: torch.dtype, shape: tuple[int, ...]):
    tensor = (torch.randn(shape) * 100).to(dtype)
    (received,) = messages.decode(messages.encode([Chunk("a", tensor)]))
    assert received.data.dtype == dtype
    assert received.data.shape == shape
    assert torch.equal(received.data, tensor)


def test_a_view_travels_as_its_values():
    tensor = torch.arange(12).reshape(3, 4).t()[1:]
    (received,) = messages.decode(messages.encode([Start("a", {"rows": {"nested": tensor}})]))
    assert torch.equal(received.params["rows"]["nested"], tensor)


@pytest.mark.parametrize("packet", [b"", b"not a message", messages.encode([Abort("a")])[:-1], b"\x91\x01"])
def test_what_is_not_a_packet_is_refused(packet: bytes):
    with pytest.raises(ValueError, match=r".+"):
        messages.decode(packet)


@pytest.mark.parametrize(("dtype", "shape"), [("int64", [3]), ("int64", [-2]), ("float33", [2]), ("nn", [2])])
def test_what_is_not_a_tensor_is_refused(dtype: str, shape: list[int]):
    tensor = msgspec.msgpack.Ext(messages.TENSOR, msgspec.msgpack.encode([dtype, shape, bytes(16)]))
    with pytest.raises(ValueError, match=r".+"):
        messages.decode(messages.encode([Chunk("a", tensor)]))


def test_objects_do_not_travel():
    with pytest.raises(TypeError, match="cannot travel"):
        messages.encode([Chunk("a", object())])
