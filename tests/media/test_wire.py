"""Values between a server and its decoders arrive as they were, and nonsense is no value."""

import pickle
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from sglang_omni.media import MediaPolicy
from sglang_omni.media.wire import pair, receive, send


def through(value: object) -> object:
    ours, theirs = pair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(ours, value))
        sender.start()
        arrived = receive(theirs)
        sender.join()
    return arrived


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0, 2), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays(shape: tuple[int, ...], dtype: type):
    sent = [np.full(shape, 7, dtype), {"again": np.ones((2, 3), dtype).T}]
    first, second = through(sent)
    for arrived, array in ((first, sent[0]), (second["again"], sent[1]["again"])):
        assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
        assert (arrived == array).all()


def test_a_data_class_is_a_dict():
    arrived = through(MediaPolicy(directory=Path("/srv"), domains=("example.com",)))
    assert (arrived["directory"], arrived["domains"], arrived["max_bytes"]) == (
        "/srv",
        ["example.com"],
        MediaPolicy.max_bytes,
    )


def test_other_objects_do_not_travel():
    with pytest.raises(TypeError, match="ellipsis"):
        through_nothing, _ = pair()
        send(through_nothing, ...)


@pytest.mark.parametrize("nonsense", [b"", b"\xc1", pickle.dumps([1]), b"\xd4\x01\x00"])
def test_nonsense_is_refused(nonsense: bytes):
    ours, theirs = pair()
    with ours, theirs:
        ours.sendall(struct.pack("=QQ", 1, len(nonsense)) + nonsense)
        with pytest.raises(ConnectionError):
            receive(theirs)
