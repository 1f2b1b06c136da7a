"""Decoder processes: whatever a file does in there, the server and the next file are well."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tests.media_files as files
from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.decoders import Decoders
from sglang_omni.media.images import decode_image
from sglang_omni.media.video import Video, decode_video
from tests.media import hostile

POLICY = MediaPolicy()


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders()
    yield decoders
    decoders.stop()


def run(
    decoders: Decoders, work: Callable[..., Any], data: bytes = b"", policy: MediaPolicy = POLICY, **options: Any
) -> Any:
    return decoders.run(work, data, policy, "images[0]", Deadline(policy.decode_seconds), **options)


def refused(decoders: Decoders, words: str, *args: Any, **options: Any) -> None:
    with pytest.raises(MediaError) as error:
        run(decoders, *args, **options)
    assert error.value.param == "images[0]"
    assert words in str(error.value)


def test_a_process_is_kept_for_the_next_file(decoders: Decoders) -> None:
    first = run(decoders, hostile.process_id)
    assert first != os.getpid()
    refused(decoders, "no picture", decode_image, b"no picture at all")
    assert run(decoders, hostile.process_id) == first


def test_what_comes_out_is_what_is_decoded_here(decoders: Decoders) -> None:
    data = files.picture(400, 300, "JPEG")
    assert (run(decoders, decode_image, data) == decode_image(data, POLICY, "x")).all()


def test_the_server_chooses_the_frames(decoders: Decoders) -> None:
    asked = []

    def choose(total: int, rate: float) -> list[int]:
        asked.append((total, rate))
        return [3, 5]

    video = Video(**run(decoders, decode_video, files.video(samples=files.tone(1.0)), answer=choose, with_sound=True))
    assert asked == [(50, 25.0)]
    assert video.frames.mean(axis=(1, 2, 3)) == pytest.approx([12, 20], abs=3)
    assert video.sound is not None


def test_a_frame_that_the_file_does_not_have_is_not_looked_for_for_ever(decoders: Decoders) -> None:
    with pytest.raises(MediaError, match="could not be decoded"):
        run(decoders, decode_video, files.video(), answer=lambda total, rate: [0, total])


def test_an_error_of_who_chooses_is_its_own(decoders: Decoders) -> None:
    with pytest.raises(ZeroDivisionError):
        run(decoders, decode_video, files.video(), answer=lambda total, rate: [1 // 0])
    assert len(run(decoders, decode_video, files.video(), answer=lambda total, rate: [7])["frames"]) == 1


@pytest.mark.parametrize(
    ("work", "limit", "words"),
    [
        (hostile.crash, {}, "the file could not be decoded"),
        (hostile.fail, {}, "the file could not be decoded"),
        (hostile.grow, {"decode_bytes": 2**30}, "decoding takes more than 1024 MiB of memory (--media-decode-bytes)"),
        (hostile.hang, {"decode_seconds": 0.2}, "decoding takes longer than 0.2 s (--media-decode-seconds)"),
    ],
)
def test_what_a_file_can_do_to_its_decoder(
    decoders: Decoders, work: Callable[..., Any], limit: dict[str, Any], words: str
) -> None:
    begun = time.monotonic()
    refused(decoders, words, work, b"", replace(POLICY, **limit))
    assert time.monotonic() - begun < 10
    assert run(decoders, decode_image, files.picture()).shape == (30, 40, 3)


def test_a_decoder_that_was_killed_meanwhile(decoders: Decoders) -> None:
    process = run(decoders, hostile.process_id)
    os.kill(process, signal.SIGKILL)
    time.sleep(0.1)
    assert run(decoders, hostile.process_id) != process


def test_a_picture_that_is_decoded_again_and_again(decoders: Decoders) -> None:
    data = hostile.jpeg_of_scans(4000, 20_000)  # half a minute
    assert len(data) < 10**6
    refused(decoders, "longer than 0.5 s", decode_image, data, replace(POLICY, decode_seconds=0.5))


def test_an_index_that_fills_the_memory(decoders: Decoders) -> None:
    data = hostile.mp4_of_frames(4 * 10**7, tracks=20)  # 20 GB
    assert len(data) < 50_000
    small = replace(POLICY, decode_bytes=2**30)
    refused(decoders, "", decode_video, data, small, answer=lambda total, rate: [0])  # FFmpeg may call it broken
    assert run(decoders, hostile.peak_bytes) < 2**30


def test_who_no_longer_wants_a_file_ends_its_decoder(decoders: Decoders) -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    begun = time.monotonic()
    with pytest.raises(MediaError):
        decoders.run(hostile.hang, b"", POLICY, "x", Deadline(60, cancelled))
    assert time.monotonic() - begun < 5


SERVER = """
import signal
import time
from sglang_omni.media import MediaPolicy
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.decoders import Decoders
from tests.media import hostile
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
print(Decoders().run(hostile.process_id, b"", MediaPolicy(), "x", Deadline(60)), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_decoder_outlives_its_server(end: signal.Signals) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert server.stdout is not None
    decoder = Path(f"/proc/{int(server.stdout.readline())}/exe")
    assert decoder.exists()
    if end == signal.SIGINT:
        os.killpg(server.pid, end)  # as Ctrl-C does
    else:
        server.kill()
    _, errors = server.communicate()
    begun = time.monotonic()
    while decoder.exists():
        assert time.monotonic() - begun < 10
        time.sleep(0.05)
    assert errors.count("Traceback") == (end == signal.SIGINT)  # the server's own
