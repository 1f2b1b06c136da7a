"""What the thinker is trained on is what it is asked when it serves."""

import random
from functools import partial

import numpy as np
import pytest
import torch

from training.examples import Conversation, World, processor, read
from training.loop import Checkpoint, train
from training.senses import WORDS, Ear, _hurried, disguised, spelled
from training.sounds import RATE, Clip
from training.thinker import new_thinker, scores


@pytest.fixture(scope="module")
def reader():
    return processor()


@pytest.fixture(scope="module")
def thinker():
    return new_thinker().eval()


@pytest.fixture(scope="module")
def world(reader):
    noise = np.random.default_rng(0).integers(-9000, 9000, RATE // 2).astype(np.int16)
    words = ["two", "five nine", "hello", "what colour is it"]
    return World(reader, [Clip(one, "espeak", noise) for one in words])


def whole(conversation: Conversation) -> list[dict]:
    return [*conversation.messages, {"role": "assistant", "content": conversation.answer}]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["text", "hearing", "seeing", "watching", "asking again"])
def test_a_batch_scores_as_the_model_itself_does(kind: str, reader, thinker, world) -> None:
    draw = partial(world.seeing, questions=3) if kind == "asking again" else getattr(world, kind)
    conversations = [draw(random.Random(seed)) for seed in range(3)]
    batch = [read(conversation, reader) for conversation in conversations]
    found, right = scores(thinker, batch)
    wanted = []
    for conversation, example in zip(conversations, batch, strict=True):
        prompt = reader.apply_chat_template(conversation.messages, tokenize=False, add_generation_prompt=True)
        media = conversation.media
        videos = [torch.from_numpy(video.frames).permute(0, 3, 1, 2) for video in media.get("videos", [])]
        inputs = reader(
            text=prompt + conversation.answer + "<|im_end|>",
            images=media.get("images"),
            audio=media.get("audios"),
            videos=videos or None,
            videos_kwargs={"do_sample_frames": False},
            return_tensors="pt",
        )
        assert inputs["input_ids"][0].tolist() == example.ids.tolist()
        wanted.append(thinker(**inputs).logits[0, :-1][example.said[1:]])
    torch.testing.assert_close(found, torch.cat(wanted), atol=2e-4, rtol=1e-3)
    answers = [message["content"] for one in conversations for message in whole(one) if message["role"] == "assistant"]
    assert reader.tokenizer.decode(right) == "".join(f"{answer}<|im_end|>" for answer in answers)


def test_an_ear_has_a_score_for_every_row(thinker) -> None:
    ear = Ear(thinker)
    sounds = [torch.randn(128, frames) for frames in (95, 100, 137, 214)]
    found, lengths = ear(sounds)
    assert found.shape == (int(lengths.max()), len(sounds), len(WORDS) + 1)
    assert all(isinstance(words, str) for words in spelled(found, lengths))


@pytest.mark.parametrize("seed", range(8))
def test_a_disguise_keeps_the_shape(seed: int) -> None:
    sound = torch.randn(128, 40)
    assert disguised(sound, random.Random(seed)).shape == sound.shape


@pytest.mark.parametrize("frames", [9, 40, 333])
def test_a_hurried_speaker_begins_and_ends_at_the_same_time_and_goes_one_way(frames: int) -> None:
    at = _hurried(frames, random.Random(frames))
    assert (at[0], len(at)) == (0, frames)
    assert at[-1] == pytest.approx(frames - 1)
    paces = at.diff()
    assert paces.min() > 0
    assert paces.max() < 2 * paces.min()


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path) -> None:
    def fit(path, stops):
        torch.manual_seed(0)
        for steps in stops:
            model = torch.nn.Linear(3, 1)
            inputs = [torch.randn(4, 3, generator=torch.Generator().manual_seed(step)) for step in range(6)]
            stopped = Checkpoint(path)
            stopped.interval = 0.0

            def loss(step, model=model, inputs=inputs, steps=steps):
                if step == steps:
                    raise KeyboardInterrupt
                return model(inputs[step]).pow(2).mean()

            with torch.random.fork_rng():
                torch.manual_seed(1)
                torch.nn.init.normal_(model.weight)
                torch.nn.init.zeros_(model.bias)
            try:
                train(model, loss, 6, 0.1, stopped, lambda line: None)
            except KeyboardInterrupt:
                continue
        return model.weight

    torch.testing.assert_close(fit(tmp_path / "a.pt", [6]), fit(tmp_path / "b.pt", [3, 6]))
