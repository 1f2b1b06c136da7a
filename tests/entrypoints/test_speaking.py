"""The law of long texts: outside short fades, the whole is the sound of its pieces, one behind the other."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.sentences import AFTER_SENTENCE, pieces
from sglang_omni.entrypoints.speaking import BEGIN_NEXT_AFTER, Speaking
from sglang_omni.entrypoints.stages import SpeechOptions
from sglang_omni.models.qwen3_omni.config import LONGEST_TEXT
from sglang_omni.pipeline import Speech
from sglang_omni.sidecar.messages import Finish
from tests.entrypoints.fakes import Fake, FakePipeline

RATE = 24_000
FADE = 240
PAUSE = round(AFTER_SENTENCE * RATE)
TEXT = "".join(f"Sentence number {number} says something. " for number in range(60)).strip()
PARTS = [part.strip() for part in pieces(TEXT, LONGEST_TEXT)]
SAMPLES_PER_FRAME = 1920


class Voices(FakePipeline):
    """Every text sounds in its own way, by its seed: a frame per token, unless its frames are limited."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.open: dict[str, Speech] = {}
        self.most_open = 0

    @contextlib.contextmanager
    def listen(self, request_id: str, goes_on: bool = False) -> Iterator[Speech]:
        speech = self.open[request_id] = Speech()
        try:
            yield speech
        finally:
            del self.open[request_id]
            if not speech.finished:
                self.aborted.append(request_id)

    def speak(self, request_id: str, params: dict[str, Any], text_ids: list[int], *rest: Any) -> None:
        super().speak(request_id, params, text_ids, *rest)
        self.most_open = max(self.most_open, sum(not speech.finished for speech in self.open.values()))
        frames = min(len(text_ids), params["speech"]["max_frames"] or len(text_ids))
        dice = np.random.default_rng([params["speech"]["seed"] or 0, *text_ids])
        for _ in range(frames):
            pcm = dice.integers(-20_000, 20_000, SAMPLES_PER_FRAME).astype("<i2").tobytes()
            self.open[request_id].put(pcm)
        if not self.forever:
            reason = "stop" if frames == len(text_ids) else "length"
            self.open[request_id].put(Finish(request_id, reason, {"talker": frames}))


@pytest.fixture
def voices(fake: Fake) -> Voices:
    fake.app.state.omni._pipeline = voices = Voices()
    return voices


def speaking(fake: Fake, text: str = TEXT, speed: float = 1.0, **options: Any) -> Speaking:
    return Speaking(fake.app.state.omni, Account({}), "id", text, None, SpeechOptions("ethan", **options), speed)


async def heard(sound: AsyncIterator[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join([pcm async for pcm in sound]), "<i2")


def say(fake: Fake, *args: Any, **options: Any) -> tuple[np.ndarray, Speaking]:
    one = speaking(fake, *args, **options)
    return asyncio.run(heard(one.pcm())), one


def test_outside_the_fades_every_piece_sounds_as_it_does_alone(fake: Fake, voices: Voices) -> None:
    assert len(PARTS) == 3
    sound, whole = say(fake, seed=7)
    alone = [say(fake, part, seed=7 + index)[0] for index, part in enumerate(PARTS)]
    assert len(sound) == sum(map(len, alone)) + 2 * PAUSE
    place = 0
    for index, piece in enumerate(alone):
        inside = slice(FADE if index else 0, len(piece) - FADE if index < 2 else None)
        assert np.array_equal(sound[place : place + len(piece)][inside], piece[inside])
        place += len(piece)
        if index < 2:
            assert not sound[place : place + PAUSE].any()
            place += PAUSE
    assert whole.finish_reason == "stop"


def test_a_join_has_no_larger_step_than_a_piece(fake: Fake, voices: Voices) -> None:
    sound, _ = say(fake)
    first = len(say(fake, PARTS[0])[0])
    steps = np.abs(np.diff(sound.astype(int)))
    assert steps[first - FADE : first + PAUSE + FADE].max() <= steps[: first - FADE].max()


def test_each_piece_is_a_request_with_the_same_settings(fake: Fake, voices: Voices, tokenizer: Any) -> None:
    stages = {"code2wav": {"chunk_frames": [3]}}
    _, whole = say(fake, seed=2**63 - 1, temperature=0.5, stages=stages)
    assert [id for id, _, _ in voices.spoken] == ["id", "id.1", "id.2"]
    assert [tokenizer.decode(ids[:-1]) for _, _, ids in voices.spoken] == PARTS
    assert [params["speech"]["seed"] for _, params, _ in voices.spoken] == [2**63 - 1, 2**63, 2**63 + 1]
    assert {params["speech"]["temperature"] for _, params, _ in voices.spoken} == {0.5}
    assert voices.stage_params == [stages] * 3
    prompt = len(voices.spoken[0][1]["prompt_ids"])
    tokens = [len(ids) for _, _, ids in voices.spoken]
    given, made = sum(tokens) - 3 + 3 * prompt, sum(tokens)
    assert whole.usage == {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}


def test_without_a_seed_no_piece_has_one(fake: Fake, voices: Voices) -> None:
    say(fake)
    assert {params["speech"]["seed"] for _, params, _ in voices.spoken} == {None}


def test_a_text_that_fits_is_spoken_as_it_is(fake: Fake, voices: Voices, tokenizer: Any) -> None:
    sound, _ = say(fake, " Hello.\n")
    ((id, _, ids),) = voices.spoken
    assert id == "id"
    assert tokenizer.decode(ids[:-1]) == " Hello.\n"
    assert len(sound) == len(ids) * SAMPLES_PER_FRAME


def test_blank_stretches_are_not_spoken(fake: Fake, voices: Voices) -> None:
    sound, _ = say(fake, "Hello." + "\n" * 3000 + "Good bye.")
    assert [len(ids) for _, _, ids in voices.spoken] == [len(ids) for _, _, ids in voices.spoken if len(ids) < 9]
    assert len(voices.spoken) == 2
    assert len(sound) == sum(len(ids) for _, _, ids in voices.spoken) * SAMPLES_PER_FRAME + PAUSE


def test_the_next_piece_is_under_way_but_not_the_one_after_it(fake: Fake, voices: Voices) -> None:
    frames = math.ceil(BEGIN_NEXT_AFTER * RATE / SAMPLES_PER_FRAME)

    async def scenario() -> None:
        async with aclosing(speaking(fake).pcm()) as sound:
            for _ in range(frames):
                await anext(sound)
            assert len(voices.spoken) == 1
            await anext(sound)
            assert len(voices.spoken) == 2
            async for _ in sound:
                pass

    asyncio.run(scenario())
    assert len(voices.spoken) == 3
    assert voices.most_open == 2


def test_leaving_early_frees_every_piece(fake: Fake, voices: Voices) -> None:
    voices.forever = True

    async def scenario() -> None:
        async with aclosing(speaking(fake).pcm()) as sound:
            for _ in range(70):
                await anext(sound)

    asyncio.run(scenario())
    assert sorted(voices.aborted) == ["id", "id.1"]
    assert not voices.open


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_leaving_early_at_another_speed_does_too(fake: Fake, voices: Voices, speed: float) -> None:
    async def scenario() -> None:
        async with aclosing(speaking(fake, speed=speed).pcm()) as sound:
            await anext(sound)

    voices.forever = True
    asyncio.run(scenario())
    assert voices.aborted
    assert not voices.open


def test_a_limit_of_frames_is_for_all_pieces_together(fake: Fake, voices: Voices) -> None:
    _, whole = say(fake)
    first, second, third = (len(ids) for _, _, ids in voices.spoken)
    assert whole.usage["output_tokens"] == first + second + third
    for limit, begun, reason in [
        (first - 1, 1, "length"),
        (first, 1, "length"),
        (first + 5, 2, "length"),
        (first + second + third - 1, 3, "length"),
        (first + second + third, 3, "stop"),
    ]:
        voices.spoken.clear()
        _, whole = say(fake, max_frames=limit)
        assert (len(voices.spoken), whole.finish_reason) == (begun, reason)
        assert whole.usage["output_tokens"] == limit


def test_a_piece_that_was_cut_is_told_and_the_others_are_spoken(fake: Fake, voices: Voices) -> None:
    fake.app.state.omni._pipeline = plain = FakePipeline(reason="length")
    _, whole = say(fake)
    assert len(plain.spoken) == 3
    assert whole.finish_reason == "length"


def test_speed_is_of_the_whole(fake: Fake, voices: Voices) -> None:
    sound, _ = say(fake)
    assert len(say(fake, TEXT, 2.0)[0]) == round(len(sound) / 2)


def test_a_checkpoint_that_learned_short_texts_is_given_short_pieces(fake: Fake, voices: Voices) -> None:
    fake.app.state.omni.longest_text = 50
    assert len(say(fake)[0]) > 0
    decode = fake.thinker.tokenizer.decode
    texts = [decode(ids).removesuffix("<|im_end|>") for _, _, ids in voices.spoken]
    assert " ".join(texts) == TEXT
    assert len(texts) == 60
    assert max(map(len, texts)) <= 50
