"""The server as an operator sees it."""

import re
import time

import httpx
import openai
import pytest

from tests.e2e.questions import QUESTIONS, VOICES, ask_aloud
from tests.e2e.server import ROOT, Server

SPEAKING = {"modalities": ["text", "audio"], "temperature": 0}


def hello(**fields) -> dict:
    return {"model": "qwen3-omni", "messages": [{"role": "user", "content": "Hello!"}], **fields}


def test_it_is_ready_within_a_minute(server: Server):
    assert server.start_seconds < 60


def test_all_processes_together_fit_in_six_gigabytes(server: Server, client: openai.OpenAI):
    ask_aloud(client, QUESTIONS["everything"])
    assert server.memory() < 6 * 2**30


def test_it_prints_a_line_to_try(server: Server):
    command = re.search(r"curl -s http://localhost:\d+/v1/chat/completions .*", server.output())
    assert command is not None


def test_health_and_models(server: Server, client: openai.OpenAI):
    status, body = server.health()
    assert (status, body["status"], body["running"]) == (200, "healthy", True)
    assert set(body["stages"]) == {"thinker", "talker", "code2wav"}
    assert [model.id for model in client.models.list()] == ["qwen3-omni"]
    assert client.models.retrieve("qwen3-omni").id == "qwen3-omni"
    with pytest.raises(openai.NotFoundError, match="gpt-9"):
        client.models.retrieve("gpt-9")
    assert set(httpx.get(f"{server.url}/v1/audio/voices").json()["voices"]) == set(VOICES)


def test_metrics_and_a_line_in_the_log_tell_of_a_spoken_answer(server: Server):
    def count(name: str, *labels: str) -> float:
        """Of chats."""
        line = "sglang_omni:" + name + "{" + ",".join([*labels, 'route="/v1/chat/completions"']) + "} "
        page = httpx.get(f"{server.url}/metrics").text.splitlines()
        return sum(float(found.removeprefix(line)) for found in page if found.startswith(line))

    names = "time_to_first_audio_seconds_count", "real_time_factor_count", "audio_frames_total", "audio_seconds_total"
    before = [count(name) for name in names]
    finished = count("requests_total", 'outcome="finished"')
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=hello(max_tokens=8, **SPEAKING), timeout=60)
    frames = answer.json()["usage"]["completion_tokens_details"]["audio_tokens"]
    first, factor, made, seconds = (count(name) - was for name, was in zip(names, before, strict=True))
    assert (first, factor, made) == (1, 1, frames)
    assert seconds == pytest.approx(frames * 0.08, abs=0.1)
    assert count("requests_total", 'outcome="finished"') == finished + 1
    (line,) = [line for line in server.output().splitlines() if f"request={answer.headers['x-request-id']} " in line]
    told = dict(field.split("=", 1) for field in line.partition(" ended ")[2].split())
    assert (told["outcome"], told["text_tokens"], told["frames"]) == ("finished", "8", str(frames))
    for stage in "thinker", "talker", "code2wav":
        assert 0 < float(told[f"{stage}_first_s"]) <= float(told[f"{stage}_s"]) <= float(told["total_s"])
    assert 0 < float(told["talker_worked_s"]) <= float(told["talker_s"])
    for stage in "thinker", "talker", "code2wav":
        assert f'sglang_omni:stage_up{{stage="{stage}"}} 1.0' in httpx.get(f"{server.url}/metrics").text


def wait_until_thinker_is_free(server: Server, seconds: float = 5) -> None:
    """No request is left in SGLang's scheduler, and no KV but the prefix cache's is in use."""
    deadline = time.monotonic() + seconds
    while True:
        (load,) = httpx.get(f"{server.url}/v1/loads", timeout=5).json()["loads"]
        if (load["num_running_reqs"], load["num_waiting_reqs"], load["num_used_tokens"]) == (0, 0, 0):
            return
        assert time.monotonic() < deadline, load
        time.sleep(0.1)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech"])
def test_a_client_that_leaves_in_mid_answer_frees_everything(server: Server, path: str):
    if path == "/v1/audio/speech":
        body = {"input": "A long story. " * 40, "stream": True, "response_format": "pcm", "seed": 3}
    else:
        body = hello(max_tokens=400, min_tokens=400, stream=True, **SPEAKING)
    with httpx.stream("POST", f"{server.url}{path}", json=body, timeout=60) as response:
        assert response.status_code == 200
        received = 0
        for data in response.iter_bytes():
            received += len(data)
            if received > 20_000:
                break
    server.wait_until_free(5)
    wait_until_thinker_is_free(server)


def test_a_whole_answer_that_nobody_waits_for_is_stopped(server: Server):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/v1/chat/completions", json=hello(max_tokens=2000, min_tokens=2000, **SPEAKING), timeout=2
        )
    server.wait_until_free(5)
    wait_until_thinker_is_free(server)


BAD = {
    "malformed JSON": ("/v1/chat/completions", b'{"messages": [', None),
    "no object": ("/v1/chat/completions", b"[1]", None),
    "no messages": ("/v1/chat/completions", {"model": "qwen3-omni"}, "messages"),
    "wrong type": ("/v1/chat/completions", hello(temperature="hot"), "temperature"),
    "unknown voice": ("/v1/chat/completions", hello(modalities=["text", "audio"], audio={"voice": "bob"}), "bob"),
    "unknown modality": ("/v1/chat/completions", hello(modalities=["smell"]), "smell"),
    "missing picture": ("/v1/chat/completions", hello(images=["tests/data/nothing.png"]), "images"),
    "no picture": ("/v1/chat/completions", hello(images=["README.md"]), "image"),
    "no video": ("/v1/chat/completions", hello(videos=["README.md"]), "video"),
    "no sound": ("/v1/chat/completions", hello(audios=["README.md"]), "audio"),
    "outside the directory": ("/v1/chat/completions", hello(images=["/etc/passwd"]), "--allowed-local-media-path"),
    "unknown voice of speech": ("/v1/audio/speech", {"input": "Hello", "voice": "bob"}, "bob"),
    "blank input": ("/v1/audio/speech", {"input": "  "}, "input"),
    "wrong type of speech": ("/v1/audio/speech", {"input": 5}, "input"),
    "unknown format": ("/v1/audio/speech", {"input": "Hello", "response_format": "midi"}, "midi"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_refused_in_its_users_words(server: Server, case: str, stream: bool):
    path, body, word = BAD[case]
    if isinstance(body, dict):
        response = httpx.post(f"{server.url}{path}", json={**body, "stream": stream}, timeout=30)
    else:
        response = httpx.post(f"{server.url}{path}", content=body, timeout=30)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert word is None or word in error["message"]
    assert str(ROOT) not in error["message"]
    assert ".py" not in error["message"]
    assert "Traceback" not in error["message"]


def test_the_server_is_well_after_all_that(server: Server, client: openai.OpenAI):
    assert ask_aloud(client, QUESTIONS["hello"]).choices[0].message.audio.data
    server.wait_until_free()
