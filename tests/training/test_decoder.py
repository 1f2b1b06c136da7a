"""The decoder that is trained is the one that is served."""

import pytest
import torch

from sglang_omni.models.qwen3_omni.demo import demo_config
from training.decoder import CONTEXT, FRAMES, decode, new_decoder, piece
from training.speech import FRAME


@torch.no_grad()
def test_pieces_are_what_the_reference_makes_of_the_same_codes() -> None:
    torch.manual_seed(0)
    config = demo_config("trained").code2wav_config
    decoder = new_decoder(demo_config("trained")).eval()
    codes = torch.randint(config.codebook_size, (2, FRAMES, config.num_quantizers))
    made = decode(decoder, codes, torch.zeros(2, dtype=torch.long))
    torch.testing.assert_close(made.clamp(-1, 1), decoder(codes.mT)[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [5, FRAMES, CONTEXT, 90])
def test_a_frame_of_codes_becomes_the_frame_before(length: int) -> None:
    sound = torch.arange(1, length + 1).repeat_interleave(FRAME).to(torch.int16)
    codes = torch.arange(1, length + 1)[:, None]
    for seed in range(30):
        torch.manual_seed(seed)
        wanted, around, begin = piece(sound, codes)
        assert len(wanted) == FRAMES * FRAME
        assert around.shape == (CONTEXT, 1)
        said = (wanted.view(FRAMES, FRAME)[:, 0] * 32768).long()
        before = int(around[begin, 0]) - 1
        wanted_frames = torch.arange(before, before + FRAMES)
        assert said.equal(torch.where(wanted_frames <= length, wanted_frames, 0))  # silence in front and behind
