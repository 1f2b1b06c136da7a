"""Media that a server must not read, through HTTP: refused in OpenAI's body, and the next request is answered."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from tests import media_files
from tests.e2e.questions import DATA, QUESTIONS, ask
from tests.e2e.server import ROOT, Server
from tests.media import hostile

LOCAL, PRIVATE = "--allowed-local-media-path", "--allow-private-media"


def uri(data: bytes) -> str:
    return f"data:;base64,{base64.b64encode(data).decode()}"


REFUSED = {
    "outside": ("images", "/etc/passwd", LOCAL),
    "above": ("audios", "../../../../../../etc/passwd", LOCAL),
    "file URL": ("images", "file:///etc/passwd", LOCAL),
    "encoded": ("videos", f"file://{ROOT}/%2e%2e/%2e%2e/etc/passwd", LOCAL),
    "device": ("images", "/dev/zero", LOCAL),
    "process": ("images", "/proc/self/environ", LOCAL),
    "directory": ("images", "tests", "not a file"),
    "gone": ("images", str(DATA / "gone.png"), "no such file"),
    "no picture": ("images", "pyproject.toml", "no picture"),
    "loopback": ("images", "http://127.0.0.1:1/a.png", PRIVATE),
    "loopback in hexadecimal": ("images", "http://0x7f.1/a.png", PRIVATE),
    "localhost": ("audios", "http://localhost:{port}/health", PRIVATE),
    "cloud": ("videos", "http://169.254.169.254/latest/meta-data/", PRIVATE),
    "IPv6": ("images", "http://[::1]:{port}/health", PRIVATE),
    "in IPv6": ("images", "http://[64:ff9b::a9fe:a9fe]/", PRIVATE),
    "user": ("images", "http://example.org@127.0.0.1/", "user name"),
    "ftp": ("images", "ftp://example.org/a.png", "ftp URLs are not supported"),
    "pixels": ("images", uri(hostile.png(60_000, 60_000)), "--media-max-pixels"),
    "text bomb": ("images", uri(hostile.png_of_text(100)), "no picture"),
    "long video": ("videos", uri(media_files.video(2401, 1, size=(16, 16))), "--media-max-seconds"),
    "channels": ("audios", uri(hostile.wav(65, 8000, 8000)), "more than 64 channels"),
    "no base64": ("audios", "data:audio/wav;base64,?", "not valid base64"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(server: Server, case: str, stream: bool) -> None:
    field, source, words = REFUSED[case]
    body = {
        "model": "qwen3-omni",
        "messages": [{"role": "user", "content": "Look and listen"}],
        field: [source.replace("{port}", str(server.port))],
        "stream": stream,
    }
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", f"{field}[0]")
    assert words in error["message"]
    for path in (str(ROOT), "/etc", "/proc", "/dev", "Traceback"):
        assert path not in error["message"]


def test_base64_of_openai_is_no_way_around(server: Server) -> None:
    for data in ("/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/"):
        part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        body = {"model": "qwen3-omni", "messages": [{"role": "user", "content": [part]}]}
        response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "audios[0]"


def test_transcription_of_a_bomb(server: Server) -> None:
    for data in (hostile.wav(65, 8000, 8000), hostile.wav(1, 1, 10_000)):
        response = httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": ("a.wav", data)}, timeout=60)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "file"


def test_the_answers_go_on_meanwhile(server: Server, client: openai.OpenAI) -> None:
    """Four pictures that take long to decode, and questions between them."""
    bomb = uri(hostile.jpeg_of_scans(4000, 1000))
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": bomb}}]}]
    with ThreadPoolExecutor(4) as pool:
        slow = [
            pool.submit(client.chat.completions.create, model="qwen3-omni", messages=messages, max_tokens=1)
            for _ in range(4)
        ]
        time.sleep(0.5)
        for _ in range(3):
            begun = time.monotonic()
            assert server.health()[0] == 200
            assert time.monotonic() - begun < 5
            assert ask(client, QUESTIONS["hello"]).choices[0].message.content
        for each in slow:
            assert each.result().usage.prompt_tokens_details.image_tokens > 0


def test_the_server_is_well_after_all_that(server: Server, client: openai.OpenAI) -> None:
    assert ask(client, QUESTIONS["everything"]).choices[0].message.content
    server.wait_until_free()
