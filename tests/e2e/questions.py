"""What the tests ask the server, and what transformers answers: text, codec frames and waveform."""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import openai
import torch
from PIL import Image
from transformers.video_utils import VideoMetadata

from sglang_omni.media import MediaPolicy
from sglang_omni.media.audio import decode_audio
from tests.reference import Answer, reference_generate, reference_inputs

DATA = Path(__file__).parents[1] / "data"
PHOTOGRAPH, COUNTING, HELLO, VIDEO = (
    DATA / name for name in ("chelsea.png", "counting.wav", "hello_world.wav", "bigbuckbunny.mp4")
)
VOICES = ("ethan", "chelsie", "aiden")


@dataclass(frozen=True)
class Question:
    """`media` are files in the order of the prompt, each before the text."""

    text: str
    media: tuple[Path, ...] = ()
    voice: str = "ethan"
    max_tokens: int = 32
    use_audio_in_video: bool = False

    def messages(self) -> list[dict[str, Any]]:
        """As OpenAI's API takes them, with every file inlined."""
        parts = [_part(path) for path in self.media]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": self.text}]}]


QUESTIONS = {
    "hello": Question("Hello!"),
    "long": Question("Tell me about the sea, the sky and the stars.", voice="aiden", max_tokens=48),
    "photograph": Question("What animal is this?", (PHOTOGRAPH,), voice="chelsie"),
    "speech": Question("What is being said?", (COUNTING,)),
    "video": Question("What happens here?", (VIDEO,), voice="chelsie"),
    "video with sound": Question("What do you hear?", (VIDEO,), voice="aiden", use_audio_in_video=True),
    "everything": Question("Describe all of it.", (PHOTOGRAPH, COUNTING, VIDEO), use_audio_in_video=True),
    "two sounds": Question("Which is longer?", (COUNTING, HELLO), max_tokens=16),
}


def _part(path: Path) -> dict[str, Any]:
    data = base64.b64encode(path.read_bytes()).decode()
    if path.suffix == ".wav":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    if path.suffix == ".mp4":
        return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def ask(client: openai.OpenAI, question: Question, **options: Any) -> Any:
    """A greedy answer from the server; `options` go to the request."""
    extra = {"use_audio_in_video": True} if question.use_audio_in_video else {}
    return client.chat.completions.create(
        model="qwen3-omni",
        messages=question.messages(),
        max_tokens=question.max_tokens,
        temperature=0,
        extra_body=extra,
        **options,
    )


def ask_aloud(client: openai.OpenAI, question: Question, **options: Any) -> Any:
    audio = {"voice": question.voice, "format": "pcm16"}
    return ask(client, question, modalities=["text", "audio"], audio=audio, **options)


@cache
def reference(model_path: Path, name: str) -> Answer:
    """transformers' greedy answer. The server speaks one token more of an answer that was cut by its length,
    so there the reference is asked for one token more, and its text is cut again."""
    question = QUESTIONS[name]
    inputs = _reference_inputs(model_path, question)
    options = {"voice": question.voice, "use_audio_in_video": question.use_audio_in_video}
    answer = reference_generate(model_path, inputs, max_tokens=question.max_tokens, **options)
    if len(answer.text_ids) < question.max_tokens:
        return answer
    longer = reference_generate(model_path, inputs, max_tokens=question.max_tokens + 1, **options)
    return Answer(answer.prompt_ids, answer.text_ids, answer.hidden, longer.codes, longer.waveform)


def _reference_inputs(model_path: Path, question: Question) -> Any:
    kinds = {".wav": "audio", ".mp4": "video", ".png": "image"}
    content: list[dict[str, str]] = [{"type": kinds[path.suffix]} for path in question.media]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": question.text}]}]
    media: dict[str, Any] = {}
    for path in question.media:
        if path.suffix == ".png":
            media.setdefault("images", []).append(Image.open(path).convert("RGB"))
        elif path.suffix == ".wav":
            media.setdefault("audio", []).append(_sound(path))
        else:
            frames, metadata = _frames(path)
            media.setdefault("videos", []).append(frames)
            media.setdefault("video_metadata", []).append(metadata)
            media |= {"do_sample_frames": True, "fps": 1.0}  # the rate transformers positions frames by
            if question.use_audio_in_video:
                media.setdefault("audio", []).append(_sound(path))
                media["use_audio_in_video"] = True
    return reference_inputs(model_path, messages, **media)


def _sound(path: Path) -> np.ndarray:
    return decode_audio(path.read_bytes(), MediaPolicy(), path.name)


def _frames(path: Path) -> tuple[torch.Tensor, VideoMetadata]:
    """Every frame (frames, 3, height, width) and what transformers needs to choose among them."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        rate = float(stream.average_rate)
    metadata = VideoMetadata(total_num_frames=len(frames), fps=rate, duration=len(frames) / rate)
    return torch.from_numpy(frames).permute(0, 3, 1, 2), metadata


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32767
