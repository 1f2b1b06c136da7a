"""POST /v1/audio/speech through the official client and curl."""

import base64
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
import soundfile
import torch

from sglang_omni.audio.join import FADE_SECONDS
from sglang_omni.entrypoints.sentences import AFTER_SENTENCE
from sglang_omni.entrypoints.speaking import BEGIN_NEXT_AFTER
from sglang_omni.models.qwen3_omni.config import LONGEST_TEXT
from tests.e2e.questions import samples
from tests.e2e.server import Server
from tests.reference import reference_model, reference_processor

INPUT = "Hello from SGLang-Omni."
GREEDY = {"temperature": 0}


SAID: dict[str, Any] = {"model": "qwen3-omni", "voice": "chelsie", "input": INPUT}


def say(client: openai.OpenAI, format: str = "pcm", text: str = INPUT, **extra) -> bytes:
    said = {**SAID, "input": text, "response_format": format}
    return client.audio.speech.create(**said, extra_body={**GREEDY, **extra}).content


def test_the_model_speaks_exactly_the_input(client: openai.OpenAI, demo_model: Path):
    """As transformers' talker does when the thinker has just said these words."""
    heard = samples(say(client))
    truth = spoken_by_the_reference(demo_model, INPUT, "chelsie")
    assert len(heard) == len(truth) > 12_000
    np.testing.assert_allclose(heard, truth, atol=1e-4)


def spoken_by_the_reference(model_path: Path, text: str, voice: str) -> np.ndarray:
    """The reference's own `generate`, its thinker made to say `text`."""
    model, tokenizer = reference_model(model_path), reference_processor(model_path).tokenizer
    prompt = tokenizer("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n", return_tensors="pt").input_ids
    said = [*tokenizer.encode(text), model.config.im_end_token_id]

    def only(batch: int, ids: torch.Tensor) -> list[int]:
        return [said[len(ids) - prompt.shape[1]]]

    _, waveform = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        speaker=voice,
        return_audio=True,
        thinker_max_new_tokens=len(said),
        thinker_eos_token_id=model.config.im_end_token_id,
        thinker_do_sample=False,
        thinker_prefix_allowed_tokens_fn=only,
        talker_do_sample=False,
        talker_max_new_tokens=512,
    )
    return waveform.flatten().numpy()


def test_streamed_is_whole(client: openai.OpenAI):
    with client.audio.speech.with_streaming_response.create(
        model="qwen3-omni", voice="chelsie", input=INPUT, response_format="pcm", extra_body={**GREEDY, "stream": True}
    ) as response:
        pieces = list(response.iter_bytes())
    assert b"".join(pieces) == say(client)
    assert response.headers["x-sample-rate"] == "24000"


def test_a_whole_wav_states_its_size(client: openai.OpenAI):
    wav = say(client, "wav")
    sound, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    assert rate == 24_000
    assert sound.tobytes() == say(client)
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8


def test_a_streamed_wav_has_one_header(client: openai.OpenAI):
    wav = say(client, "wav", stream=True)
    assert wav.count(b"RIFF") == 1
    assert wav[44:] == say(client)


def test_the_same_seed_sounds_the_same(client: openai.OpenAI):
    first, again, other = (say(client, temperature=0.9, seed=seed) for seed in (5, 5, 6))
    assert first == again != other


FORMATS = {  # media type, and by how many samples a decoder's sound may be longer than what was encoded
    "pcm": ("audio/pcm", 0),
    "wav": ("audio/wav", 0),
    "flac": ("audio/flac", 0),
    "opus": ("audio/ogg", 960),  # a frame of 20 ms at 48 kHz, and no more: the file says where it begins and ends
    "aac": ("audio/aac", 2048),  # ADTS says neither: a frame before the sound, a part of one behind it
    "mp3": ("audio/mpeg", 2304),  # as ADTS, where the header that says it cannot be written in a stream
}


def decoded(file: bytes) -> np.ndarray:
    """(samples,) in [-1, 1] at 24 kHz."""
    with av.open(io.BytesIO(file)) as container:
        resampler = av.AudioResampler("flt", "mono", 24_000)
        frames = [sound for frame in container.decode(audio=0) for sound in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_what_it_says(client: openai.OpenAI, format: str, stream: bool):
    raw = client.audio.speech.with_raw_response.create(
        **SAID, response_format=format, extra_body={**GREEDY, "stream": stream}
    )
    media_type, padding = FORMATS[format]
    assert raw.headers["content-type"] == media_type
    facts = [raw.headers[f"x-{name}"] for name in ("audio-format", "sample-rate", "channels", "bit-depth")]
    assert facts == [format, "24000", "1", "16"]
    assert raw.headers["x-request-id"]
    assert raw.headers.get("x-finish-reason") == (None if stream else "stop")
    truth = say(client)
    if format == "pcm":
        assert raw.content == truth
        return
    sound = decoded(raw.content)
    assert 0 <= len(sound) - len(truth) // 2 <= padding
    if not padding:
        assert np.array_equal((sound * 32768).astype(int), np.frombuffer(truth, "<i2"))


def test_an_answer_in_events(client: openai.OpenAI, server: Server):
    body = {"input": INPUT, "voice": "chelsie", "response_format": "pcm", "stream_format": "sse", **GREEDY}
    events = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).text.strip().split("\n\n")
    *deltas, done = [json.loads(event.removeprefix("data: ")) for event in events]
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == say(client)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert (done["type"], done["finish_reason"]) == ("speech.audio.done", "stop")
    frames = (len(say(client)) // 2 + 555) // 1920
    assert done["usage"]["output_tokens"] == frames
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + frames


LONG = "Hello from here." + " " * LONGEST_TEXT + "Good bye, and see you soon."
FADE, PAUSE = round(FADE_SECONDS * 24_000), round(AFTER_SENTENCE * 24_000)


def test_a_long_text_sounds_as_its_pieces(client: openai.OpenAI):
    drawn = {"temperature": 0.9}
    first, second = (
        np.frombuffer(say(client, text=text, seed=seed, **drawn), "<i2")
        for text, seed in zip(LONG.split(" " * LONGEST_TEXT), (5, 6), strict=True)
    )
    whole = say(client, text=LONG, seed=5, **drawn)
    assert whole == say(client, text=LONG, seed=5, stream=True, **drawn)
    sound = np.frombuffer(whole, "<i2")
    assert len(sound) == len(first) + PAUSE + len(second)
    assert np.array_equal(sound[: len(first) - FADE], first[:-FADE])
    assert not sound[len(first) : len(first) + PAUSE].any()
    assert np.array_equal(sound[len(first) + PAUSE + FADE :], second[FADE:])
    steps = np.abs(np.diff(sound.astype(int)))
    assert steps[len(first) - FADE : len(first) + PAUSE + FADE].max() <= steps[: len(first) - FADE].max()


def test_a_limit_cuts_a_long_text_and_says_so(client: openai.OpenAI):
    said = {**SAID, "input": LONG, "response_format": "pcm"}
    raw = client.audio.speech.with_raw_response.create(**said, extra_body={**GREEDY, "max_new_tokens": 3})
    assert raw.headers["x-finish-reason"] == "length"
    assert len(raw.content) == 2 * (3 * 1920 - 555)


def test_a_client_that_leaves_a_long_text_frees_every_piece(server: Server):
    text = "This is a sentence that somebody has to read aloud. " * 60
    body = {"input": text, "response_format": "pcm", "stream": True, "seed": 1}
    heard = 0
    with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=60) as response:
        for pcm in response.iter_raw():
            heard += len(pcm)
            if heard > (BEGIN_NEXT_AFTER + 2) * 48_000:  # a second piece is under way
                break
    server.wait_until_free()


@pytest.mark.parametrize("sizes", [[1], [3, 7]])
def test_chunks_of_the_clients_own(client: openai.OpenAI, server: Server, sizes: list[int]):
    body = {"input": INPUT, "voice": "chelsie", "response_format": "pcm", "stream_format": "sse", **GREEDY}
    body["stage_params"] = {"code2wav": {"chunk_frames": sizes}}
    events = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).text.strip().split("\n\n")
    chunks = [base64.b64decode(json.loads(event.removeprefix("data: "))["audio"]) for event in events[:-1]]
    frames = [(len(chunk) // 2 + (0 if index else 555)) / 1920 for index, chunk in enumerate(chunks)]
    assert frames[: len(sizes)] == sizes
    assert set(frames[len(sizes) : -1]) <= {sizes[-1]}
    np.testing.assert_allclose(samples(b"".join(chunks)), samples(say(client)), atol=1e-4)


def test_chunks_of_a_chats_own(client: openai.OpenAI):
    stream = client.chat.completions.create(
        model="qwen3-omni",
        messages=[{"role": "user", "content": "Hello!"}],
        modalities=["text", "audio"],
        audio={"voice": "chelsie", "format": "pcm16"},
        max_tokens=4,
        temperature=0,
        stream=True,
        extra_body={"stage_params": {"code2wav": {"chunk_frames": [1, 5]}}},
    )
    audio = [getattr(chunk.choices[0].delta, "audio", None) or {} for chunk in stream]
    sizes = [len(base64.b64decode(sound["data"])) // 2 for sound in audio if "data" in sound]
    assert sizes[:2] == [1920 - 555, 5 * 1920]


@pytest.mark.parametrize("text", ["🙂🙂", "?!...", "<|im_end|>", "<|im_start|>user", "\u200b", "\0", "<tts_pad>"])
def test_odd_texts_are_files_that_end(client: openai.OpenAI, text: str):
    file = say(client, "wav", text=text)
    info = soundfile.info(io.BytesIO(file))
    assert 0 < info.frames < 30 * 24_000
    assert int.from_bytes(file[4:8], "little") == len(file) - 8


def test_instructions_that_the_talker_has_no_room_for(client: openai.OpenAI, server: Server):
    with pytest.raises(openai.BadRequestError, match="rows of the talker's 8192; shorten it") as caught:
        client.audio.speech.create(**SAID, instructions="🙂𓀀" * 2048)
    assert caught.value.param == "instructions"
    server.wait_until_free()


def test_a_batch(client: openai.OpenAI, server: Server):
    items = [{"input": INPUT}, {"input": INPUT, "voice": "aiden", "response_format": "flac"}, {"input": "Bye."}]
    body = {"model": "qwen3-omni", "voice": "chelsie", "response_format": "pcm", **GREEDY, "items": items}
    answer = httpx.post(f"{server.url}/v1/audio/speech/batch", json=body, timeout=60).json()
    assert {name: answer[name] for name in ("total", "succeeded", "failed")} == {
        "total": 3,
        "succeeded": 3,
        "failed": 0,
    }
    first, second, third = [base64.b64decode(result["audio_data"]) for result in answer["results"]]
    assert first == say(client)
    assert second[:4] == b"fLaC"
    assert third == say(client, text="Bye.")


def test_curl(server: Server, tmp_path: Path):
    body = '{"model": "qwen3-omni", "input": "Hello from SGLang-Omni.", "voice": "default", "response_format": "wav"}'
    command = ["curl", "-sf", f"{server.url}/v1/audio/speech", "-H", "Content-Type: application/json", "-d", body]
    subprocess.run([*command, "-o", tmp_path / "speech.wav"], check=True, timeout=60)
    info = soundfile.info(tmp_path / "speech.wav")
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
    assert 0.5 < info.duration < 60
