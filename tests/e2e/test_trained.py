"""The trained demo model, as a newcomer meets it: asked by voice about a picture, it answers aloud, and a recogniser
that knows nothing of it understands the answer.

`scripts/test -m slow tests/e2e/test_trained.py` asks about many pictures.
"""

import base64
import io
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image
from safetensors import safe_open
from transformers import BatchFeature, Qwen3OmniMoeForConditionalGeneration

from sglang_omni.benchmark.words import samples, words
from sglang_omni.media import MediaPolicy
from sglang_omni.media.audio import decode_audio
from sglang_omni.models.qwen3_omni.demo.tokenizer import SPECIAL_TOKENS
from tests.e2e.questions import DATA
from tests.e2e.server import ROOT, Server
from tests.reference import reference_generate, reference_inputs, reference_processor
from training.dialogue import COLOURS, NUMBERS, SHAPES, picture_answers, video_answer
from training.evaluate import Results, grouped, rate
from training.pictures import Picture, film, mp4, picture, png
from training.recognise import pocketsphinx
from training.sentences import closed_text

QUESTIONS = {"colour": "what_colour.wav", "shape": "what_shape.wav", "number": "how_many.wav"}
"""What is asked by voice, and the file with the question."""

ANSWERS = [
    *(f"it is {colour}" for colour in COLOURS),
    *(f"it is a {shape}" for shape in SHAPES),
    "there is one",
    *(f"there are {number}" for number in NUMBERS[2:6]),
    "i do not know",
    *(f"they are {colour}" for colour in COLOURS),
    *(f"they are {shape}s" for shape in SHAPES),
    *(f"i hear {number}" for number in NUMBERS[:10]),
    *(f"the colour is {colour}" for colour in COLOURS),
    *(f"it is {word}" for word in ("bread", "bed", "rat", "ready", "right", "read it", "green bread", "glue", "shoe")),
    *(f"it is {word}" for word in ("mellow", "grin", "purr", "back", "wide", "a star is", "a cycle", "a tangle")),
]
"""What can be answered and what can be misheard, as the recogniser's grammar."""

CIRCLE = (DATA / "red_circle.png").read_bytes()
Answer = tuple[str, np.ndarray]
"""The text, and the sound at 24 kHz in [-1, 1]."""


@pytest.fixture(scope="module")
def client(trained_server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{trained_server.url}/v1", api_key="none", max_retries=0, timeout=120)


def messages(image: bytes, question: str) -> list[dict[str, Any]]:
    """A picture, and a question that is only heard."""
    shown = {"url": f"data:image/png;base64,{base64.b64encode(image).decode()}"}
    spoken = {"data": base64.b64encode((DATA / question).read_bytes()).decode(), "format": "wav"}
    content = [{"type": "image_url", "image_url": shown}, {"type": "input_audio", "input_audio": spoken}]
    return [{"role": "user", "content": content}]


def ask(client: openai.OpenAI, asked: list[dict[str, Any]], voice: str = "chelsie") -> Answer:
    """The whole answer at once."""
    audio: Any = {"voice": voice, "format": "pcm16"}
    answer = client.chat.completions.create(
        model="qwen3-omni", messages=asked, modalities=["text", "audio"], audio=audio, temperature=0, max_tokens=60
    )
    message = answer.choices[0].message
    return message.content, sound(base64.b64decode(message.audio.data))


def ask_streamed(client: openai.OpenAI, asked: list[dict[str, Any]], voice: str = "chelsie") -> Answer:
    audio: Any = {"voice": voice, "format": "pcm16"}
    stream = client.chat.completions.create(
        model="qwen3-omni",
        messages=asked,
        modalities=["text", "audio"],
        audio=audio,
        temperature=0,
        max_tokens=60,
        stream=True,
    )
    text, pcm = "", b""
    for chunk in stream:
        delta = chunk.choices[0].delta if chunk.choices else None
        text += (delta and delta.content) or ""
        pcm += base64.b64decode((getattr(delta, "audio", None) or {}).get("data", ""))
    return text, sound(pcm)


def sound(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def understood(answer: np.ndarray, sentences: list[str]) -> str:
    """Which of the sentences a recogniser hears."""
    return pocketsphinx(sentences)(samples((answer * 32767).astype("<i2").tobytes(), 24_000))


def test_it_is_what_a_server_serves_that_is_given_no_model(trained_server: Server, trained: Path):
    assert str(trained) in trained_server.output()


@pytest.mark.parametrize("asking", [ask, ask_streamed])
def test_it_answers_a_spoken_question_about_a_picture_aloud(client: openai.OpenAI, asking: Callable[..., Answer]):
    text, answer = asking(client, messages(CIRCLE, "what_colour.wav"))
    assert text == "It is red."
    assert understood(answer, ANSWERS) == "it is red"


def test_what_is_streamed_is_the_whole_answer(client: openai.OpenAI):
    asked = messages(CIRCLE, "what_shape.wav")
    (text, answer), (streamed_text, streamed) = ask(client, asked), ask_streamed(client, asked)
    assert text == streamed_text
    assert np.array_equal(answer, streamed)


@pytest.mark.parametrize("voice", ["chelsie", "ethan", "aiden"])
def test_every_voice_reads_numbers_so_that_they_are_understood(client: openai.OpenAI, voice: str):
    spoken = client.audio.speech.create(
        model="qwen3-omni",
        input="Seven, two, nine, four.",
        voice=voice,
        response_format="pcm",
        extra_body={"temperature": 0},
    )
    any_digits = [f"({' | '.join(NUMBERS[:10])})+"]
    assert understood(sound(spoken.content), any_digits) == "seven two nine four"
    assert (pitch(sound(spoken.content)) > 150) == (voice == "chelsie")


def pitch(heard: np.ndarray) -> float:
    """Hertz: after how long the sound is most like itself, of 5 to 16 ms."""
    spectrum = np.abs(np.fft.rfft(heard, 2 * len(heard))) ** 2
    alike = np.fft.irfft(spectrum)[: 24_000 // 60]
    return float(24_000 / (120 + np.argmax(alike[120:384])))


@pytest.mark.parametrize("voice", ["chelsie", "ethan"])
def test_it_stops_by_itself_as_it_draws_by_default(client: openai.OpenAI, voice: str):
    for text in closed_text()[:10]:
        spoken = client.audio.speech.with_raw_response.create(model="qwen3-omni", input=text, voice=voice)
        assert spoken.headers["x-finish-reason"] == "stop", text


def test_it_notices_that_a_colour_changes(client: openai.OpenAI):
    seen = film(random.Random(4))
    shown = {"url": f"data:video/mp4;base64,{base64.b64encode(mp4(seen)).decode()}"}
    content: Any = [{"type": "video_url", "video_url": shown}, {"type": "text", "text": "What happens?"}]
    answer = client.chat.completions.create(
        model="qwen3-omni", messages=[{"role": "user", "content": content}], temperature=0, max_tokens=60
    )
    assert seen.before != seen.after
    assert answer.choices[0].message.content == video_answer(seen.before, seen.after)


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def inputs_as_told(trained: Path) -> BatchFeature:
    return reference_inputs(trained, "What day comes after Monday?")


def inputs_as_shown(trained: Path) -> BatchFeature:
    heard = decode_audio((DATA / "what_colour.wav").read_bytes(), MediaPolicy(), "question")
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "audio"}]}]
    return reference_inputs(trained, asked, images=[image_of(CIRCLE)], audio=[heard])


@pytest.mark.parametrize("voice", ["chelsie", "ethan"])
@pytest.mark.parametrize(
    ("asked", "inputs"),
    [
        pytest.param(said("What day comes after Monday?"), inputs_as_told, id="text"),
        pytest.param(messages(CIRCLE, "what_colour.wav"), inputs_as_shown, id="picture and voice"),
    ],
)
def test_the_answer_is_transformers(
    client: openai.OpenAI,
    trained: Path,
    asked: list[dict[str, Any]],
    inputs: Callable[[Path], BatchFeature],
    voice: str,
):
    """Text and waveform of a greedy answer."""
    text, answer = ask(client, asked, voice)
    truth = reference_generate(trained, inputs(trained), voice=voice, talker_repetition_penalty=1.0)
    assert text == reference_processor(trained).tokenizer.decode(truth.text_ids, skip_special_tokens=True)
    assert len(answer) == len(truth.waveform)
    np.testing.assert_allclose(answer, truth.waveform, atol=1e-3)


def image_of(file: bytes) -> Any:
    return Image.open(io.BytesIO(file)).convert("RGB")


def test_transformers_finds_exactly_the_weights_it_expects(trained: Path):
    _, info = Qwen3OmniMoeForConditionalGeneration.from_pretrained(trained, output_loading_info=True)
    assert not any(info.values()), info


def test_the_weights_are_small(trained: Path):
    files = list(trained.glob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) <= 40_000_000
    for file in files:
        with safe_open(file, "pt") as tensors:
            assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"BF16"}  # noqa: SIM118
    assert (trained / "README.md").exists()


def test_special_tokens_are_what_the_config_says(trained: Path):
    tokenizer = reference_processor(trained).tokenizer
    ids = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS]
    assert ids == list(range(len(tokenizer) - len(SPECIAL_TOKENS), len(tokenizer)))


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["chelsie", "ethan"])
@pytest.mark.parametrize("kind", QUESTIONS)
def test_it_is_right_and_understood_about_most_pictures(client: openai.OpenAI, kind: str, voice: str):
    dice = random.Random(f"{kind} {voice}")
    wrong = []
    for turn in range(30):
        seen = draw(dice, alone=kind != "number")
        expected = picture_answers(seen.colour, seen.shape, seen.number)[kind]
        asking = ask_streamed if turn % 2 else ask
        text, answer = asking(client, messages(png(seen.image), QUESTIONS[kind]), voice)
        heard = understood(answer, ANSWERS)
        if text != expected or words(heard) != words(expected):
            wrong.append((expected, text, heard))
    assert len(wrong) <= 3, wrong


def draw(dice: random.Random, alone: bool) -> Picture:
    """A new picture, of one object or of up to five."""
    while (seen := picture(dice)).number != 1 and alone:
        pass
    return seen


@pytest.mark.slow
def test_it_is_as_good_as_it_is_said_to_be(trained_server: Server, tmp_path: Path):
    """A fifth of what docs/demo.md's rates are measured with, against what they are promised to be."""
    asked = ["--quick", "--url", trained_server.url, "--output", str(tmp_path / "found.jsonl")]
    command = ["scripts/evaluate-demo", *asked]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = Results.read(tmp_path / "found.jsonl")
    assert not [said for said in found.said if said.failure]
    assert done.stdout.splitlines()[-1] == found.line
    for (voice, mode), closed in grouped(found.of("closed"), "voice", "mode").items():
        assert rate(closed) < 8, (voice, mode)
    for part in ("dialogue", "vision", "video", "hearing", "spoken"):
        assert found.share_right(part) >= 90, part
