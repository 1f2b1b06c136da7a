"""POST /v1/audio/speech through the official client and curl."""

import io
import subprocess
from pathlib import Path

import numpy as np
import openai
import soundfile
import torch

from tests.e2e.questions import samples
from tests.e2e.server import Server
from tests.reference import reference_model, reference_processor

INPUT = "Hello from SGLang-Omni."
GREEDY = {"temperature": 0}


def say(client: openai.OpenAI, format: str = "pcm", **extra) -> bytes:
    response = client.audio.speech.create(
        model="qwen3-omni", voice="chelsie", input=INPUT, response_format=format, extra_body={**GREEDY, **extra}
    )
    return response.content


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


def test_curl(server: Server, tmp_path: Path):
    body = '{"model": "qwen3-omni", "input": "Hello from SGLang-Omni.", "voice": "default", "response_format": "wav"}'
    command = ["curl", "-sf", f"{server.url}/v1/audio/speech", "-H", "Content-Type: application/json", "-d", body]
    subprocess.run([*command, "-o", tmp_path / "speech.wav"], check=True, timeout=60)
    info = soundfile.info(tmp_path / "speech.wav")
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
    assert 0.5 < info.duration < 60
