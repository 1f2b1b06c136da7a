import itertools
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sglang_omni.errors import CheckpointError, ConfigError, RequestFailed
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.qwen3_omni.code2wav_stage import CHUNK_FRAMES, Code2WavRunner, State, as_bytes, pcm
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar.messages import Abort, Chunk, Finish, Message, Start
from sglang_omni.sidecar.scheduler import Scheduler

SIZES = {
    "codebook_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "sliding_window": 5,
    "decoder_dim": 32,
}


@pytest.fixture(scope="module")
def model() -> Code2Wav:
    torch.manual_seed(0)
    model = Code2Wav(Code2WavConfig.of(SIZES))
    torch.nn.init.normal_(model.decoder[-1].conv.weight, std=0.2)
    return model


@pytest.fixture
def runner(model: Code2Wav) -> Code2WavRunner:
    return Code2WavRunner(StageOptions(model_path="", slots=3), model)


def speech(frames: int) -> Tensor:
    """Codes (frames, groups)."""
    return torch.randint(32, (frames, 16))


def samples(sound: bytes) -> Tensor:
    return torch.frombuffer(bytearray(sound), dtype=torch.int16).int()


@torch.inference_mode()
def whole(model: Code2Wav, codes: Tensor) -> Tensor:
    """The samples of one forward over everything."""
    return pcm(model(codes.T[None])[0, 0]).int() if len(codes) else torch.empty(0)


def decode(runner: Code2WavRunner, state: State) -> list[bytes]:
    """Steps a stream by itself for as long as it can go."""
    heard = []
    while runner.bucket(state) is not None:
        heard += runner.step([state])
    return [sound for sound in heard if sound is not None]


def start(runner: Code2WavRunner, codes: Tensor, slot: int = 0) -> State:
    state = runner.open(slot, {})
    for frame in codes:
        runner.feed(state, frame)
    return state


def test_samples_become_the_nearest_of_16_bits() -> None:
    sound = pcm(torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0, 0.6 / 32767, -0.4 / 32767]))
    assert sound.tolist() == [0, 32767, -32767, 32767, -32767, 1, 0]
    assert as_bytes(pcm(torch.tensor([1 / 32767]))) == b"\x01\x00"


def test_chunks_grow_and_the_end_is_what_is_left(runner: Code2WavRunner) -> None:
    state = start(runner, speech(20))
    assert [len(sound) // 2 for sound in decode(runner, state)] == [
        2 * 1920 - 555,
        *(n * 1920 for n in (2, 2, 2, 3, 3, 4)),
    ]
    assert len(state.waiting) == 2
    assert runner.bucket(state) is None
    assert runner.finished(state) is None
    runner.feed(state, None)
    assert runner.bucket(state) == (2, False)
    assert [len(sound) // 2 for sound in decode(runner, state)] == [2 * 1920]
    assert runner.finished(state) == "stop"


def test_the_last_size_repeats(model: Code2Wav) -> None:
    options = StageOptions(model_path="", slots=1, options={"chunk_frames": [1, 3]})
    runner = Code2WavRunner(options, model)
    state = start(runner, speech(12))
    runner.feed(state, None)
    assert [(len(sound) // 2 + 555) // 1920 for sound in decode(runner, state)] == [1, 3, 3, 3, 2]


def test_requests_with_chunks_of_their_own_share_steps_and_sound_as_the_whole(
    runner: Code2WavRunner, model: Code2Wav
) -> None:
    codes, sizes = speech(40), [[1], [3, 5], [7]]
    states = [runner.open(slot, {"chunk_frames": chunk_frames}) for slot, chunk_frames in enumerate(sizes)]
    for state in states:
        for frame in codes:
            runner.feed(state, frame)
        runner.feed(state, None)
    heard: list[list[bytes]] = [[], [], []]
    shared = 0
    while buckets := {runner.bucket(state) for state in states} - {None}:
        for bucket in buckets:
            batch = [index for index, state in enumerate(states) if runner.bucket(state) == bucket]
            shared += len(batch) > 1
            for index, sound in zip(batch, runner.step([states[index] for index in batch]), strict=True):
                heard[index].append(sound or b"")
    assert [len(sounds) for sounds in heard] == [40, 9, 6]
    assert shared
    for sounds in heard:
        assert (samples(b"".join(sounds)) - whole(model, codes)).abs().max() <= 1


@pytest.mark.parametrize("pace", [1.2, 1.5, 4.0])
def test_a_player_never_runs_dry_while_the_talker_keeps_its_pace(pace: float) -> None:
    """`pace` frames are made in the time that one is heard; the player starts with the first chunk."""
    made, sizes = 0, iter(CHUNK_FRAMES)
    heard_until = start = None
    while made < 4096:
        made += next(sizes, CHUNK_FRAMES[-1])
        now = made * 1920 / 24000 / pace
        start = now if start is None else start
        assert heard_until is None or now <= heard_until
        heard_until = start + (made * 1920 - 555) / 24000


def test_the_chunks_grow_as_fast_as_that_allows() -> None:
    made = 0
    for size, larger in itertools.pairwise(CHUNK_FRAMES):
        made += size
        room = 1.2 * (CHUNK_FRAMES[0] / 1.2 + made - 555 / 1920) - made  # frames made until all is heard
        assert larger <= room < larger + 1 or larger == 16


def test_frames_arriving_sooner_or_later_sound_the_same_to_the_bit(runner: Code2WavRunner) -> None:
    codes = speech(23)
    at_once = start(runner, codes)
    runner.feed(at_once, None)
    expected = b"".join(decode(runner, at_once))
    state, heard = runner.open(1, {}), []
    for frame in codes:
        runner.feed(state, frame)
        heard += decode(runner, state)
    runner.feed(state, None)
    assert b"".join(heard + decode(runner, state)) == expected


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_chunks_joined_are_the_whole(runner: Code2WavRunner, model: Code2Wav, frames: int) -> None:
    codes = speech(frames)
    state = start(runner, codes)
    runner.feed(state, None)
    sound, expected = samples(b"".join(decode(runner, state))), whole(model, codes)
    assert expected.float().std() > 300, "silence would prove nothing"
    assert len(sound) == frames * 1920 - 555
    assert (sound - expected).abs().max() <= 1


def test_no_frames_are_no_sound(runner: Code2WavRunner) -> None:
    state = runner.open(0, {})
    assert runner.bucket(state) is None
    runner.feed(state, None)
    assert runner.bucket(state) is None
    assert runner.finished(state) == "stop"


def test_a_slot_keeps_nothing_of_the_stream_before(runner: Code2WavRunner) -> None:
    codes = speech(15)
    fresh = decode(runner, start(runner, codes))
    decode(runner, start(runner, speech(30)))
    assert decode(runner, start(runner, codes)) == fresh


@pytest.mark.parametrize("codes", [torch.zeros(15, dtype=torch.int64), torch.full((16,), 32), torch.full((16,), -1)])
def test_a_frame_of_another_codec_fails_its_own_request(runner: Code2WavRunner, codes: Tensor) -> None:
    with pytest.raises(RequestFailed, match="16 codes below 32"):
        runner.feed(runner.open(0, {}), codes)


@pytest.mark.parametrize("seed", range(3))
def test_many_requests_at_once_sound_as_each_alone(runner: Code2WavRunner, seed: int) -> None:
    """To the bit: twelve requests over three slots, frames in any order, some given up half-way."""
    torch.manual_seed(seed)
    dice = random.Random(seed)
    sent: list[Message] = []
    scheduler = Scheduler("code2wav", runner, sent.extend, sent.extend)
    speeches = {str(i): speech(dice.randint(0, 30)) for i in range(12)}
    given_up = {rid: dice.randint(0, 10) for rid in dice.sample(list(speeches), 3)}

    def messages(rid: str) -> list[Message]:
        chunks = [Chunk(rid, frame) for frame in speeches[rid]]
        end = Abort(rid) if rid in given_up else Finish(rid, "length")
        return [Start(rid, {}), *chunks[: given_up.get(rid)], end]

    inboxes = {rid: messages(rid) for rid in speeches}
    while inboxes:
        rid = dice.choice(list(inboxes))
        for _ in range(min(dice.randint(1, 8), len(inboxes[rid]))):
            scheduler.receive(inboxes[rid].pop(0))
        if not inboxes[rid]:
            del inboxes[rid]
        if dice.random() < 0.5:
            scheduler.step()
    while scheduler.step():
        scheduler.check_integrity()
    assert scheduler.state()["free"] == 3

    for rid, codes in speeches.items():
        if rid in given_up:
            continue
        own = [message for message in sent if message.request_id == rid]
        assert isinstance(own[0], Start)
        assert isinstance(own[-1], Finish)
        assert own[-1].reason == "length"
        sound = samples(b"".join(message.data for message in own if isinstance(message, Chunk)) or b"\0\0")
        if len(codes):
            assert len(sound) == len(codes) * 1920 - 555
            alone = start(runner, codes)
            runner.feed(alone, None)
            assert torch.equal(sound, samples(b"".join(decode(runner, alone))))
        else:
            assert len(own) == 2


def checkpoint(path: Path, model: Code2Wav, dtype: torch.dtype = torch.float32) -> Path:
    (path / "config.json").write_text(json.dumps({"code2wav_config": SIZES}))
    tensors = {f"code2wav.{name}": value.to(dtype).contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path / "model.safetensors")
    return path


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_checkpoints_code2wav_is_loaded(tmp_path: Path, model: Code2Wav, dtype: str, expected: torch.dtype) -> None:
    path = checkpoint(tmp_path, model, torch.bfloat16)
    runner = Code2WavRunner(StageOptions(str(path), dtype=dtype, slots=2))
    assert {value.dtype for value in runner.model.state_dict().values()} == {expected}
    assert runner.slots == 2
    state = start(runner, speech(4))
    assert [len(sound) // 2 for sound in decode(runner, state)] == [2 * 1920 - 555, 2 * 1920]


def test_a_checkpoint_without_code2wav_is_refused(tmp_path: Path, model: Code2Wav) -> None:
    checkpoint(tmp_path, model)
    save_file({"thinker.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks code2wav\.code_embedding\.weight"):
        Code2WavRunner(StageOptions(str(tmp_path)))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no code2wav_config"):
        Code2WavRunner(StageOptions(str(tmp_path)))


@pytest.mark.parametrize("sizes", [[], [0, 2]])
def test_chunks_of_nothing_are_refused(model: Code2Wav, sizes: list[int]) -> None:
    with pytest.raises(ConfigError, match="chunk_frames"):
        Code2WavRunner(StageOptions(model_path="", options={"chunk_frames": sizes}), model)
