"""What the thinker adds to SGLang's: where the talker listens, and sounds that do not depend on their company."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sglang_omni.errors import CheckpointError
from sglang_omni.models.qwen3_omni.thinker import Qwen3OmniMoeForConditionalGeneration as Thinker


class Tower(nn.Module):
    """Makes one token of every 10 frames; each says how wide the windows of its batch were."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_out = nn.Linear(1, 1)

    def forward(self, frames: torch.Tensor, feature_lens: torch.Tensor) -> SimpleNamespace:
        assert frames.shape == (4, feature_lens.sum())
        width = min(int(feature_lens.max()), 100)
        return SimpleNamespace(last_hidden_state=torch.full((1, int(feature_lens.sum()) // 10, 2), float(width)))


def sound(frames: int, window: int) -> SimpleNamespace:
    tokens = frames // 10
    halves = [(0, tokens // 2 - 1), (100, 100 + tokens - tokens // 2 - 1)]
    return SimpleNamespace(feature=torch.zeros(4, frames), window=window, offsets=halves)


def test_sounds_are_padded_as_in_their_own_request():
    model = SimpleNamespace(thinker=SimpleNamespace(audio_tower=Tower()))
    items = [sound(*each) for each in [(250, 100), (40, 100), (70, 70), (20, 70), (30, 40), (20, 20)]]
    together = Thinker.get_audio_feature(model, items)
    assert [len(rows) for rows in together] == [25, 4, 7, 2, 3, 2]
    assert [rows.unique().tolist() for rows in together] == [[100], [100], [70], [70], [40], [20]]
    alone = [Thinker.get_audio_feature(model, [item])[0] for item in items]
    assert all(map(torch.equal, together, alone))


def model_with(accept_hidden_layer: int) -> SimpleNamespace:
    config = SimpleNamespace(
        talker_config=SimpleNamespace(accept_hidden_layer=accept_hidden_layer),
        thinker_config=SimpleNamespace(vision_config=SimpleNamespace(deepstack_visual_indexes=[0, 1, 2])),
    )
    layers = [f"layer {i}" for i in range(6)]
    return SimpleNamespace(config=config, thinker=SimpleNamespace(model=SimpleNamespace(layers=layers)))


@pytest.mark.parametrize("index", [4, 5])
def test_the_accept_layer(index):
    assert Thinker.accept_layer.fget(model_with(index)) == f"layer {index}"


@pytest.mark.parametrize("index", [0, 3, 6])
def test_an_accept_layer_where_the_streams_differ_is_refused(index):
    with pytest.raises(CheckpointError, match=f"accept_hidden_layer is {index}"):
        Thinker.accept_layer.fget(model_with(index))
