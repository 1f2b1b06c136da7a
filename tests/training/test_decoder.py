"""The decoder that is trained is the one that is served."""

from pathlib import Path

import pytest
import torch

from sglang_omni.models.qwen3_omni.demo import demo_config
from training.decoder import CONTEXT, FRAMES, decode, learn_spectra, new_decoder, piece, some
from training.mel import STEP, Spectra
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


def test_a_step_of_spectra_is_about_its_own_time() -> None:
    sound = torch.zeros(1, 12 * STEP)
    sound[0, 6 * STEP : 7 * STEP] = torch.randn(STEP)
    spectra = Spectra()
    seen = spectra(sound)[0]
    assert seen.shape == (12, spectra.size)
    assert seen.mean(1).argmax() == 6
    assert seen[:3].eq(seen[0]).all()


def test_what_comes_before_the_sound_learns_spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.decoder.SPECTRA_PIECES", 2)
    monkeypatch.setattr("training.loop.WARMUP", 1)
    torch.manual_seed(0)
    decoder, loud, soft = new_decoder(demo_config("tiny")), 3000 * torch.randn(8 * FRAME), 3 * torch.randn(8 * FRAME)
    groups = decoder.config.num_quantizers
    learned_from = [(sound.to(torch.int16), torch.full((8, groups), code)) for code, sound in enumerate([loud, soft])]
    before = {name: value.clone() for name, value in decoder.named_parameters()}
    told = list[float]()
    learn_spectra(decoder, learned_from, 101, tmp_path / "spectra.pt", lambda line: told.append(loss_in(line)))
    assert told[-1] < 0.9 * told[0]
    changed = {name.split(".")[0] for name, value in decoder.named_parameters() if not value.equal(before[name])}
    assert changed == {"code_embedding", "pre_transformer", "upsample"}


def loss_in(line: str) -> float:
    return float(line.split("loss ")[1].split(",")[0])


def test_pieces_are_drawn_alike_for_the_same_seed() -> None:
    learned_from = [(torch.arange(40 * FRAME).to(torch.int16), torch.arange(40)[:, None])]
    torch.manual_seed(3)
    first = some(learned_from, 4)
    torch.manual_seed(3)
    assert all(a.equal(b) for a, b in zip(first, some(learned_from, 4), strict=True))
    assert first[0].shape == (4, FRAMES * FRAME)
    assert first[1].shape == (4, CONTEXT, 1)
