"""Qwen3-Omni's thinker as SGLang runs it, and where its talker listens."""

from typing import Any

import torch
from sglang.srt.managers.schedule_batch import MultimodalDataItem
from sglang.srt.models import qwen3_omni_moe
from torch import Tensor, nn

from sglang_omni.errors import CheckpointError


class Qwen3OmniMoeForConditionalGeneration(qwen3_omni_moe.Qwen3OmniMoeForConditionalGeneration):
    """SGLang's own class, for sounds of any length; the name is the architecture it is registered for."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.thinker.get_audio_feature = self.get_audio_feature

    def get_audio_feature(self, items: list[MultimodalDataItem]) -> Tensor:
        """(tokens, hidden) of sounds of (mel bins, frames) laid end to end; SGLang stacks them, if equally long."""
        tower = self.thinker.audio_tower
        sounds = torch.cat([item.feature for item in items], dim=-1).to(tower.conv_out.weight)
        lengths = torch.tensor([item.feature.shape[-1] for item in items], device=sounds.device)
        return tower(sounds, feature_lens=lengths).last_hidden_state

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
