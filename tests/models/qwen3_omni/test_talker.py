"""The talker's network and its code predictor against transformers' modules."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sglang_omni.errors import CheckpointError
from sglang_omni.layers.cache import ByRow, paged
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.qwen3_omni.talker_stage import PAGE_ROWS, TalkerRunner
from sglang_omni.models.spec import StageOptions
from tests.reference import reference_model

PROMPTS = [9, 14, 30]
STEPS = 6


@pytest.fixture(scope="module")
def talker(demo_model: Path) -> Talker:
    return TalkerRunner(StageOptions(str(demo_model), slots=4, options={"total_rows": 256})).talker


@torch.inference_mode()
def run(talker: Talker, x: torch.Tensor, positions: torch.Tensor, pages: list[int]) -> torch.Tensor:
    """Prompts of PROMPTS, then decode steps together: x (batch, time, hidden) -> the last STEPS rows' states."""
    dtype = talker.codec_head.weight.dtype
    for row, length in enumerate(PROMPTS):
        begin = pages[row] * PAGE_ROWS
        places = [slice(begin, begin + length)]
        access = ByRow(1, places, places, talker.rope.at(positions[:, row, None, :length], dtype))
        talker.model(x[row, :length].to(dtype), access)
    lengths, rows, states = torch.tensor(PROMPTS), torch.arange(len(PROMPTS)), []
    for step in range(STEPS):
        rotation = talker.rope.at(positions[:, rows, lengths + step][..., None], dtype)
        decode = paged(torch.tensor(pages)[:, None], lengths + step, PAGE_ROWS, rotation)
        states.append(talker.model(x[rows, lengths + step].to(dtype), decode))
    return torch.stack(states, 1)


@pytest.fixture(scope="module")
def rows(talker: Talker) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    time = max(PROMPTS) + STEPS
    x = torch.randn(len(PROMPTS), time, talker.config.text_config.hidden_size, generator=generator)
    positions = torch.randint(0, 3, (3, len(PROMPTS), time), generator=generator).cumsum(-1)
    return x, positions


def test_hidden_states_are_the_references(talker: Talker, rows: tuple, demo_model: Path) -> None:
    x, positions = rows
    states = run(talker, x, positions, [2, 0, 3])
    model = reference_model(demo_model).talker.model
    for row, length in enumerate(PROMPTS):
        end = length + STEPS
        with torch.no_grad():
            expected = model(inputs_embeds=x[row : row + 1, :end], position_ids=positions[:, row : row + 1, :end])
        torch.testing.assert_close(states[row], expected.last_hidden_state[0, length:], atol=1e-4, rtol=1e-4)


def test_bfloat16_is_close_to_float32(talker: Talker, rows: tuple, demo_model: Path) -> None:
    options = StageOptions(str(demo_model), dtype="bfloat16", slots=4, options={"total_rows": 256})
    half = TalkerRunner(options).talker
    pages = [1, 3, 0]
    expected, states = run(talker, *rows, pages), run(half, *rows, pages)
    assert states.dtype == torch.bfloat16
    similarity = torch.cosine_similarity(states.float(), expected, dim=-1)
    assert similarity.median() > 0.99


@torch.inference_mode()
def test_residual_codes_are_the_references(talker: Talker, demo_model: Path) -> None:
    hidden, first = torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(1))
    codes, heard = talker.code_predictor(hidden, first, lambda logits, group: logits.argmax(-1))
    reference = reference_model(demo_model).talker.code_predictor
    expected = reference.generate(
        inputs_embeds=torch.stack((hidden, first), 1), max_new_tokens=codes.shape[1], do_sample=False
    )
    torch.testing.assert_close(codes, expected)
    embeddings = [table(codes[:, group]) for group, table in enumerate(reference.get_input_embeddings())]
    torch.testing.assert_close(heard, first + torch.stack(embeddings).sum(0), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_projected_vocabulary_is_the_references(demo_model: Path) -> None:
    rows = TalkerRunner(StageOptions(str(demo_model), slots=1, options={"max_length": 64})).text_rows
    model = reference_model(demo_model)
    expected = model.talker.text_projection(model.thinker.get_input_embeddings().weight)
    torch.testing.assert_close(rows, expected, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_without_talker_names_what_is_missing(tiny_model: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_model / "model.safetensors")
    save_file({name: t for name, t in tensors.items() if "codec_head" not in name}, tmp_path / "model.safetensors")
    shutil.copy(tiny_model / "config.json", tmp_path)
    with pytest.raises(CheckpointError, match=r"lacks talker\.codec_head\.weight"):
        TalkerRunner(StageOptions(str(tmp_path)))
