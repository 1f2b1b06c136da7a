"""code2wav goes on with codes as the talker guesses them, beside the synthesiser's own.

So vocoders are trained on what an acoustic model says when it is led along the truth (Shen et al. 2018, "Tacotron 2",
section 2.2).
"""

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeTalkerForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo import TRAINED_DRAWING, demo_config
from training.codes import Spoken, encode_speech
from training.decoder import fast, heard, new_decoder, often, train_decoder
from training.parts import SIZE, parser, whole
from training.talker import Teacher

STEPS = 1500

UTTERANCES = 3000
"""Of which the talker guesses codes."""


def guesses(config: Qwen3OmniMoeConfig, work: Path) -> list[Tensor]:
    """Codes (frames, groups) of the first utterances; made once and kept in `guessed.pt`."""
    file = work / "guessed.pt"
    if not file.exists():
        torch.manual_seed(0)
        random.seed(0)
        spoken = encode_speech(config, work)[:UTTERANCES]
        talker = Qwen3OmniMoeTalkerForConditionalGeneration(config.talker_config)
        talker.load_state_dict(torch.load(work / "talker.pt")["model"])
        teacher = Teacher(config, talker.eval(), torch.cat([one.codes for one in spoken]))
        temperature = TRAINED_DRAWING["code_predictor_temperature"]
        made = [guessed(teacher, one, temperature) for one in tqdm(spoken, desc="guesses", mininterval=5)]
        with whole(file) as begun:
            torch.save([codes.to(torch.int16) for codes in made], begun)
    return [codes.long() for codes in torch.load(file)]


@torch.no_grad()
def guessed(teacher: Teacher, spoken: Spoken, temperature: float) -> Tensor:
    """What the code predictor makes of an utterance's right first codes."""
    hidden, first = teacher.hidden(spoken), spoken.codes[:, 0]
    predictor = teacher.talker.code_predictor
    tables = [teacher.talker.get_input_embeddings(), *predictor.get_input_embeddings()]
    rows, codes = [hidden, tables[0](first)], [first]
    for head, table in zip(predictor.lm_head, tables[1:], strict=True):
        made = predictor.model(inputs_embeds=torch.stack(rows, 1), use_cache=False).last_hidden_state[:, -1]
        codes.append(torch.multinomial(F.softmax(head(made) / temperature, -1), 1)[:, 0])
        rows.append(table(codes[-1]))
    return torch.stack(codes, 1)


def main(arguments: list[str]) -> None:
    given = parser("guessed", __doc__, STEPS).parse_args(arguments)
    torch.set_num_threads(given.threads)
    config = demo_config(SIZE)
    voices, sounds, codes = heard(config, given.work)
    both = [list(pair) for pair in zip(codes, guesses(config, given.work), strict=False)]
    decoder = new_decoder(config)
    decoder.load_state_dict(torch.load(given.work / "decoder.pt")["model"])
    fast(decoder)
    train_decoder(decoder, often(voices, sounds, both), given.steps, given.work / "decoder_guessed.pt")
