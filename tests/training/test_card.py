"""What was measured is written where people read it."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from sglang_omni.models.qwen3_omni.demo import write_companions
from training.card import card, measured
from training.evaluate import Answered, Results
from training.spectrogram import QUIETEST, decibels, draw

RESULTS = Results([], [Answered("vision", "colour", "", (), "", True)])


def test_the_card_tells_the_size_and_what_was_measured(tmp_path: Path) -> None:
    write_companions(tmp_path, "trained")
    save_file({"a": torch.zeros(1000, 1500, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    text = card(RESULTS, tmp_path)
    assert "1.5 million parameters (3 MB in bfloat16)" in text
    assert "| vision | colour | 1 | 100.0 % |" in text
    assert "vision=100.0" in text
    assert "talker_top_k=20" in text


def test_a_page_has_a_place_for_it() -> None:
    text = "# Page\n\n<!-- measured -->\nTODO\n<!-- end -->\n"
    new = measured(text, RESULTS)
    assert "| vision | colour | 1 | 100.0 % |" in new
    assert measured(new, RESULTS) == new
    begin = text.index("<!-- measured -->")
    assert new[:begin] == text[:begin]


def test_a_tone_is_a_line_in_the_spectrogram(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 3000 * np.arange(24_000) / 24_000).astype(np.float32)
    levels = decibels(tone)
    assert set(levels.argmax(0)) == {3000 * 1024 // 24_000}
    assert levels.max() == 0
    assert levels.min() >= QUIETEST
    draw(tone, 24_000, "A tone", tmp_path / "tone.png")
    assert (tmp_path / "tone.png").read_bytes().startswith(b"\x89PNG")
