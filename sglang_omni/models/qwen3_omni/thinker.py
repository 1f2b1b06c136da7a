"""Qwen3-Omni's thinker as SGLang runs it, and where its talker listens."""

from collections.abc import Iterable
from typing import Any

import torch
from sglang.srt.layers.linear import LinearBase
from sglang.srt.layers.moe.fused_moe_triton import FusedMoE
from sglang.srt.layers.vocab_parallel_embedding import ParallelLMHead
from sglang.srt.managers.schedule_batch import MultimodalDataItem
from sglang.srt.models import qwen3_omni_moe
from torch import Tensor, nn

from sglang_omni.errors import CheckpointError
from sglang_omni.layers.company import stored


class Qwen3OmniMoeForConditionalGeneration(qwen3_omni_moe.Qwen3OmniMoeForConditionalGeneration):
    """SGLang's own class, for sounds of any length; the name is the architecture it is registered for."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.thinker.get_audio_feature = self.get_audio_feature

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> Any:
        loaded = super().load_weights(weights)
        for part in self.modules():
            if isinstance(part, LinearBase | ParallelLMHead | FusedMoE):
                for name, weight in part.named_parameters(recurse=False):
                    if name.endswith("weight"):
                        weight.data = stored(weight.data)
        return loaded

    def get_audio_feature(self, items: list[MultimodalDataItem]) -> list[Tensor]:
        """(tokens, hidden) of each sound of (mel bins, frames); SGLang stacks sounds, if equally long.

        The tower cuts sounds into windows, pads them to the longest of them, and the padding shows in the result.
        transformers encodes the sounds of a request together and no others, so `item.window` is the longest there.
        """
        tower = self.thinker.audio_tower
        embedded: dict[int, Tensor] = {}
        for window in {item.window for item in items}:
            group = [item for item in items if item.window == window]
            sounds = [item.feature for item in group]
            if all(sound.shape[-1] < window for sound in sounds):
                sounds.append(sounds[0].new_zeros(len(sounds[0]), window))  # silence, as long as one that is not here
            lengths = torch.tensor([sound.shape[-1] for sound in sounds], device=tower.conv_out.weight.device)
            frames = torch.cat(sounds, dim=-1).to(tower.conv_out.weight)
            tokens = [sum(last - first + 1 for first, last in item.offsets) for item in group]
            result = tower(frames, feature_lens=lengths).last_hidden_state.flatten(0, -2)[: sum(tokens)]
            embedded |= dict(zip(map(id, group), result.split(tokens), strict=True))
        return [embedded[id(item)] for item in items]

    @property
    def hidden_size(self) -> int:
        return self.config.thinker_config.text_config.hidden_size

    @property
    def media_token_ids(self) -> tuple[int, ...]:
        """The ids that stand for sound, pictures and videos in a prompt."""
        config = self.config.thinker_config
        return config.audio_token_id, config.image_token_id, config.video_token_id

    @property
    def accept_layer(self) -> nn.Module:
        """The layer whose input the talker accepts.

        SGLang adds the vision tower's deepstack features to a layer's output, transformers counts them to the next
        layer's: past the last of them the two streams are the same.
        """
        index = self.config.talker_config.accept_hidden_layer
        layers = self.thinker.model.layers
        deepstack = len(self.config.thinker_config.vision_config.deepstack_visual_indexes)
        if not deepstack < index < len(layers):
            raise CheckpointError(
                f"talker_config.accept_hidden_layer is {index}: it must be more than {deepstack} (the deepstack "
                f"layers) and less than {len(layers)} (the thinker's layers)"
            )
        return layers[index]
