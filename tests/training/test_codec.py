"""The codec that is trained is the one that is served."""

import pytest
import torch

from sglang_omni.models.qwen3_omni.demo import demo_config
from training.codec import Codec
from training.phones import AHEAD, GROUPS, MOMENTS, PHONES
from training.speech import FRAME

FRAMES = 9


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    codec = Codec(demo_config("trained")).eval()
    codec.phonetic.start(torch.randint(len(PHONES), (300, MOMENTS + AHEAD)))
    torch.nn.init.normal_(codec.spoken)
    codec.quantiser.start(torch.randn(300, codec.spoken.shape[-1]))
    return codec


@torch.no_grad()
def test_code2wav_says_what_the_codec_did(codec: Codec) -> None:
    sound, labels = torch.randn(FRAMES * FRAME) / 10, torch.randint(len(PHONES), (FRAMES, MOMENTS + AHEAD))
    codes = codec.encode(sound, labels)
    assert codes[:, :GROUPS].equal(codec.phonetic(labels))
    groups = torch.tensor([len(codec.quantiser.rows)])
    said, _ = codec(sound[None], codec.phonetic(labels)[None], groups)
    torch.testing.assert_close(codec.code2wav()(codes.T[None])[0, 0, : said.shape[1]], said[0], atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_what_is_withheld_is_not_in_the_sum(codec: Codec) -> None:
    latents = torch.randn(3, FRAMES, codec.spoken.shape[-1])
    groups = len(codec.quantiser.rows)
    found, codes, _ = codec.quantiser(latents, torch.tensor([0, 2, groups]))
    rows = [codec.quantiser.rows[group][codes[..., group]] for group in range(groups)]
    torch.testing.assert_close(found[0], torch.zeros_like(found[0]))
    torch.testing.assert_close(found[1], (rows[0] + rows[1])[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[2], sum(rows)[2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(codec.quantiser(latents)[0][2], found[2])
