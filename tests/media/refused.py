"""What a refusal must look like, for all tests of media."""

import pytest

from sglang_omni.errors import MediaError
from sglang_omni.media.policy import MediaPolicy
from sglang_omni.media.source import read


def refused(source: str | bytes, policy: MediaPolicy, words: str) -> None:
    """Reading `source` is an error about it that says `words` and tells nothing about the server's files."""
    with pytest.raises(MediaError) as error:
        read(source, policy, "audios[0]")
    assert (error.value.status, error.value.param) == (400, "audios[0]")
    message = str(error.value)
    assert message.startswith("audios[0]: ")
    assert words in message
    assert str(policy.directory) not in message
    assert error.value.__context__ is None or error.value.__suppress_context__
