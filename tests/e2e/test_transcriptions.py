"""POST /v1/audio/transcriptions through the official client and curl."""

import json
import re
import subprocess

import openai
import pytest

from tests.e2e.questions import COUNTING, HELLO, Question, ask
from tests.e2e.server import ROOT, Server

DOCUMENT = (ROOT / "docs" / "transcription.md").read_text()


def transcribe(client: openai.OpenAI, **options):
    options = {"response_format": "json", "extra_body": {"max_completion_tokens": 32}, **options}
    return client.audio.transcriptions.create(model="qwen3-omni", file=COUNTING, **options)


def test_a_transcription_is_the_answer_of_a_chat(client: openai.OpenAI):
    heard = transcribe(client, language="en", prompt="Numbers as digits.")
    instruction = "Transcribe the English audio into text.\nNumbers as digits."
    chat = ask(client, Question(instruction, (COUNTING,)))
    assert heard.text == chat.choices[0].message.content
    assert heard.usage.input_tokens == chat.usage.prompt_tokens
    assert heard.usage.output_tokens == chat.usage.completion_tokens
    assert heard.usage.input_token_details.audio_tokens == chat.usage.prompt_tokens_details.audio_tokens > 0


def test_every_form_has_the_same_words(client: openai.OpenAI):
    whole = transcribe(client)
    assert whole.text
    assert transcribe(client, response_format="text") == whole.text
    verbose = transcribe(client, response_format="verbose_json", language="en")
    assert verbose.text == transcribe(client, language="en").text
    assert verbose.language == "english"
    assert 1 < verbose.duration == verbose.usage.seconds < 60
    *deltas, done = transcribe(client, stream=True)
    assert "".join(delta.delta for delta in deltas) == done.text == whole.text
    assert len(deltas) > 1
    assert done.usage.total_tokens == whole.usage.total_tokens


def test_a_seed(client: openai.OpenAI):
    def seeded(seed: int) -> str:
        return transcribe(client, temperature=1, extra_body={"max_completion_tokens": 32, "seed": seed}).text

    assert seeded(5) == seeded(5) != seeded(6)


def test_errors_are_those_of_openai(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError, match="could not be decoded") as caught:
        client.audio.transcriptions.create(model="qwen3-omni", file=("speech.wav", b"no sound"))
    assert caught.value.param == "file"
    with pytest.raises(openai.BadRequestError, match="the model tells no times"):
        transcribe(client, response_format="verbose_json", timestamp_granularities=["word"])
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="whisper-1", file=HELLO)


@pytest.mark.parametrize("command", re.findall(r"```bash\n(curl.*?)```", DOCUMENT, re.DOTALL))
def test_curl(server: Server, command: str):
    assert "localhost:8000" in command
    command = command.replace("localhost:8000", f"localhost:{server.port}")
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0
    assert json.loads(done.stdout)["text"]
