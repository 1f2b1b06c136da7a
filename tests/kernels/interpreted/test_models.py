"""The whole models with every kernel they have, against the same models without."""

import pytest
import torch

from sglang_omni.layers import moe
from sglang_omni.layers.activation import SnakeBeta
from sglang_omni.layers.cache import paged
from sglang_omni.layers.decoder import Attention
from sglang_omni.layers.streaming import Stream
from sglang_omni.models.qwen3_omni import talker_stage
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig, ResidualUnit
from sglang_omni.models.qwen3_omni.compiled_frame import Blank
from sglang_omni.models.qwen3_omni.demo import cached_demo_model
from sglang_omni.models.qwen3_omni.graph_frame import GraphFrame
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.qwen3_omni.talker_stage import PAGE_ROWS, TalkerRunner
from sglang_omni.models.spec import StageOptions


def with_and_without(monkeypatch: pytest.MonkeyPatch, build: type) -> list:
    models = []
    for mode in "triton", "plain":
        monkeypatch.setenv("SGLANG_OMNI_KERNELS", mode)
        models.append(build())
    return models


@torch.inference_mode()
def test_a_step_of_the_talker(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cached_demo_model("tiny")

    def build() -> Talker:
        return TalkerRunner(StageOptions(str(path), slots=4, options={"total_rows": 256})).talker

    talkers = with_and_without(monkeypatch, build)
    kernels, plain = ([part for part in talker.modules() if isinstance(part, Attention)] for talker in talkers)
    assert all(part.norm_rope != part._norm_rope for part in kernels)
    assert all(part.norm_rope == part._norm_rope for part in plain)
    assert [{layer.mlp.fused.few for layer in talker.model.layers} for talker in talkers] == [{moe.ROWS[-1]}, {0}]

    generator = torch.Generator().manual_seed(0)
    hidden, first = torch.randn(2, 3, talkers[0].config.text_config.hidden_size, generator=generator)
    positions = torch.tensor([0, 5, 9])
    states, codes = [], []
    for talker in talkers:
        rotation = talker.rope.at(positions[:, None], hidden.dtype)
        access = paged(torch.tensor([[2], [0], [1]]), torch.zeros(3, dtype=torch.int64), PAGE_ROWS, rotation)
        states.append(talker.model(hidden, access))
        codes.append(talker.code_predictor(hidden, first, lambda logits, group: logits.argmax(-1))[0])
    torch.testing.assert_close(*states, atol=1e-4, rtol=1e-4)
    assert torch.equal(*codes)


@torch.inference_mode()
def test_frames_of_the_talker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests, one of which has filled a page."""

    def build() -> GraphFrame:
        monkeypatch.setattr(GraphFrame, "_first_steps", lambda frame: ())
        monkeypatch.setattr(talker_stage, "frame", GraphFrame)
        options = {"total_rows": 4 * PAGE_ROWS}
        return TalkerRunner(StageOptions(str(cached_demo_model("tiny")), slots=2, options=options)).frame

    frames = with_and_without(monkeypatch, build)
    assert [frame.kernel is None for frame in frames] == [False, True]
    codes = []
    for frame in frames:
        torch.manual_seed(0)
        for layer in frame.talker.model.layers:
            layer.self_attn.pool.normal_()
        states = [Blank(0, [2], 5), Blank(1, [3, 1], PAGE_ROWS)]
        for _ in range(2):
            codes.append(frame.decode(states, [7, 8]).clone())
            for state in states:
                state.length, state.position, state.frames = state.length + 1, state.position + 1, state.frames + 1
    assert torch.equal(torch.stack(codes[:2]), torch.stack(codes[2:]))


@torch.inference_mode()
def test_a_stream_of_code2wav(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams in chunks: what a tail remembers is of the kernels too."""
    config = Code2WavConfig(
        codebook_size=32,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        sliding_window=5,
        decoder_dim=64,
        upsampling_ratios=(2, 2),
        upsample_rates=(2, 2),
    )

    def build() -> Code2Wav:
        torch.manual_seed(0)
        model = Code2Wav(config)
        torch.nn.init.normal_(model.decoder[-1].conv.weight, std=0.2)
        model.prepare(3)
        return model

    models = with_and_without(monkeypatch, build)
    parts = [[part for part in model.modules() if isinstance(part, ResidualUnit | SnakeBeta)] for model in models]
    assert all(part.kernel for part in parts[0])
    assert not any(part.kernel for part in parts[1])
    codes = torch.randint(32, (2, 16, 7))
    heard = []
    for model in models:
        chunks, done = [], 0
        for frames in (1, 2, 4):
            stream = Stream(torch.tensor([2, 0]), torch.full((2,), done), first=done == 0)
            chunks.append(model(codes[..., done : done + frames], stream))
            done += frames
        heard.append(torch.cat(chunks, -1))
    assert heard[1].std() > 1e-3, "silence would prove nothing"
    torch.testing.assert_close(*heard, atol=1e-5, rtol=1e-4)
