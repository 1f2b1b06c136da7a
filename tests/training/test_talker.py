"""What the talker is taught is what it will be fed."""

from pathlib import Path

import pytest
import torch
from transformers import Qwen3OmniMoeForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo import demo_config, fill_weights, write_companions
from tests.reference import reference_inputs
from training.embeddings import text_embeddings
from training.talker import Spoken, Teacher, Turns
from training.vocabulary import tokenizer

VOICE = "chelsie"
QUESTION = "What colour is the circle?"


@pytest.fixture(scope="module")
def model() -> Qwen3OmniMoeForConditionalGeneration:
    config = demo_config("trained")
    model = Qwen3OmniMoeForConditionalGeneration(config).eval()
    fill_weights(model)
    with torch.no_grad():
        model.thinker.model.embed_tokens.weight.copy_(text_embeddings(config))
    return model


@torch.no_grad()
def test_an_utterance_is_laid_out_as_transformers_does_when_it_speaks(
    model: Qwen3OmniMoeForConditionalGeneration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = model.config
    write_companions(tmp_path, "trained")
    inputs = reference_inputs(tmp_path, QUESTION)
    fed = {}
    generate = model.talker.generate

    def record(**given: torch.Tensor) -> object:
        fed.update(given)
        return generate(**given)

    monkeypatch.setattr(model.talker, "generate", record)
    # the last token of an answer is not spoken
    ids, _ = model.generate(
        **inputs, speaker=VOICE, thinker_max_new_tokens=6, thinker_do_sample=False, talker_max_new_tokens=4
    )
    text = ids[0, inputs["input_ids"].shape[1] : -1].tolist()

    codes = torch.randint(config.code2wav_config.codebook_size, (12, config.code2wav_config.num_quantizers))
    teacher = Teacher(config, model.talker, codes)
    turn = tokenizer().encode(f"<|im_start|>user\n{QUESTION}<|im_end|>\n").ids
    monkeypatch.setattr(Turns, "draw", lambda self: (turn, None))
    rows, head = teacher._rows(Spoken(text, codes, config.talker_config.speaker_id[VOICE]), 0)

    prompt = fed["inputs_embeds"][0]
    assert head == len(prompt)
    torch.testing.assert_close(rows[:head], prompt)
    trailing = fed["trailing_text_hidden"][0]
    after = torch.cat([trailing, fed["tts_pad_embed"][0].expand(len(codes), -1)])[: len(codes)]
    torch.testing.assert_close(rows[head:], after + teacher._history(codes, 0))
