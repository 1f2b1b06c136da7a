"""The talker's prompt: what it hears of a conversation before it speaks.

Follows the second half of Qwen3OmniMoeForConditionalGeneration.generate with its `_get_talker_user_parts` and
`_get_talker_assistant_parts`. The talker hears the user's turns, then the head of the answer:

    <|im_start|>user ... <|im_end|>\\n  (every user turn; system turns and earlier answers are left out)
    <|im_start|>assistant\\n  pad      pad        pad        pad    bos  first token of the answer
                              nothink  think_bos  think_eos  voice  pad  codec bos     (added to the row above)

Every later token of the answer is added to the input of one frame, then `tts_eos`, then `tts_pad` for ever.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sglang_omni.errors import InvalidRequest
from sglang_omni.models.qwen3_omni.config import OmniConfig, TalkerConfig

HEAD = 9
"""Rows of the answer's head."""

PADS = 4


@dataclass(frozen=True)
class TalkerPrompt:
    """Of a prompt of n rows, the answer's head included; on the CPU."""

    user_ids: Tensor  # (n - HEAD,) token ids of the user's turns
    media: Tensor  # (n - HEAD,) which of them are placeholders for media
    media_rows: Tensor  # (media.sum(), thinker hidden) their rows
    positions: Tensor  # (3, n)
    answer_start: list[int]  # <|im_start|>assistant\n
    answer: list[int]  # tokens the prompt puts into the answer's mouth

    @property
    def length(self) -> int:
        return self.positions.shape[1]


def talker_prompt(config: OmniConfig, prompt_ids: Tensor, positions: Tensor, media_rows: Tensor) -> TalkerPrompt:
    """All but `config` is the thinker's prompt.

    prompt_ids (length,), positions (3, length) and media_rows (media positions, thinker hidden).
    """
    answer = answer_index(config, prompt_ids)
    heard = user_mask(config, prompt_ids)
    media = media_mask(config, prompt_ids)
    if int(media.sum()) != media_rows.shape[0]:
        raise ValueError(f"{media_rows.shape[0]} media rows for {int(media.sum())} media positions")
    user_positions = rebased(config, prompt_ids, positions, heard.nonzero().flatten())
    start = 0 if user_positions.shape[1] == 0 else user_positions[:, -1].max() + 1
    head = (start + torch.arange(HEAD)).to(positions.dtype).expand(3, -1)
    return TalkerPrompt(
        user_ids=prompt_ids[heard],
        media=media[heard],
        media_rows=media_rows[heard[media]],
        positions=torch.cat((user_positions, head), 1),
        answer_start=prompt_ids[answer : answer + 3].tolist(),
        answer=prompt_ids[answer + 3 :].tolist(),
    )


def input_ids(config: OmniConfig, prompt: TalkerPrompt, first: int) -> Tensor:
    """The prompt's text ids (n,); `first` is the first token of the answer. Media positions keep placeholders."""
    pads = [config.tts_pad_token_id] * PADS
    head = [*prompt.answer_start, *pads, config.tts_bos_token_id, first]
    return torch.cat((prompt.user_ids, torch.tensor(head)))


def codec_ids(talker_config: TalkerConfig, voice: int) -> list[int]:
    """Codec ids whose embeddings are added to the last six rows of the prompt."""
    c = talker_config
    return [
        c.codec_nothink_id,
        c.codec_think_bos_id,
        c.codec_think_eos_id,
        voice,
        c.codec_pad_id,
        c.codec_bos_id,
    ]


def answer_index(config: OmniConfig, ids: Tensor) -> int:
    """Where the last assistant turn of ids (length,) starts."""
    starts = (ids[:-1] == config.im_start_token_id) & (ids[1:] == config.assistant_token_id)
    found = starts.nonzero()
    if len(found) == 0 or int(found[-1]) + 3 > len(ids):
        raise InvalidRequest("to be spoken, a prompt must end with the assistant's turn", param="messages")
    return int(found[-1])


def user_mask(config: OmniConfig, ids: Tensor) -> Tensor:
    """Which of ids (length,) belong to the user's turns; a turn's role is the token after its <|im_start|>."""
    index = torch.arange(len(ids))
    turn = torch.where(ids == config.im_start_token_id, index, 0).cummax(0).values
    return ids[(turn + 1).clamp_max(len(ids) - 1)] == config.user_token_id


def media_mask(config: OmniConfig, ids: Tensor) -> Tensor:
    """Which of ids (length,) are placeholders for pictures, video frames or sound."""
    thinker = config.thinker_config
    kinds = [thinker.audio_token_id, thinker.image_token_id, thinker.video_token_id]
    return torch.isin(ids, torch.tensor(kinds))


def rebased(config: OmniConfig, ids: Tensor, positions: Tensor, kept: Tensor) -> Tensor:
    """Positions (3, kept) as if the kept tokens were the whole prompt: each piece follows the one before it.

    The reference does not tell its talker which videos carry their own sound (`generate` passes no
    `use_audio_in_video`), so it counts such a video's tokens one by one; except, by the way it searches, while
    a picture is still to come.
    """
    pieces, start = [positions[:, :0]], 0
    for begin, end, counted in _pieces(config, ids[kept], kept):
        if counted:
            piece = torch.arange(end - begin).to(positions.dtype).expand(3, -1)
        else:
            piece = positions[:, kept[begin:end]]
            piece = piece - piece[:, :1]
        pieces.append(piece + start)
        start = pieces[-1][:, -1].max() + 1
    return torch.cat(pieces, 1)


def _pieces(config: OmniConfig, ids: Tensor, kept: Tensor) -> list[tuple[int, int, bool]]:
    """(begin, end, counted one by one) of the parts of ids (kept,) that keep their inner positions."""
    talker = config.talker_config
    media = media_mask(config, ids)
    pictures = (ids == config.thinker_config.image_token_id).nonzero()
    last_picture = int(pictures[-1]) if len(pictures) else -1
    sounding = (ids[:-1] == talker.vision_start_token_id) & (ids[1:] == talker.audio_start_token_id)
    cuts = dict.fromkeys([0, *((kept[1:] - kept[:-1] != 1).nonzero().flatten() + 1).tolist()], False)
    for begin in sounding.nonzero().flatten().tolist():
        if begin > last_picture:
            after = (~media[begin + 2 :]).nonzero()
            cuts[begin] = True
            cuts[begin + 2 + int(after[0]) if len(after) else len(ids)] = False
    begins = sorted(cuts)
    ends = [*begins[1:], len(ids)]
    return [(begin, end, cuts[begin]) for begin, end in zip(begins, ends, strict=True) if begin < end]
