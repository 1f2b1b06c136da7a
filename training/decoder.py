"""The decoder goes on alone, with codes as the talker guesses them.

As vocoders are trained on what an acoustic model says when it is led along the truth (Shen et al. 2018, "Tacotron 2",
section 2.2): the first code of every frame is the right one, the others are drawn as in use; the sound to be made of
them is the synthesiser's.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeTalkerForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo import TRAINED_DRAWING, demo_config
from training.codec import PEAK_RATE, RESOLUTIONS, Codec, SpectralLoss, crop, read_codec
from training.loop import Checkpoint, train
from training.parts import SIZE, parser
from training.speech import read_speech
from training.talker import Spoken, Teacher, encode_speech

STEPS = 6000
UTTERANCES = 4000
TRUE = 0.3
"""Share of the pieces that keep their own codes."""

FINE = (256, 24), *RESOLUTIONS
"""Windows and mel bands of the loss: short ones too, for what p, t and k are heard by."""

CROP = 40
"""Frames of a piece, one in a step: more than the decoder looks back."""


def guesses(config: Qwen3OmniMoeConfig, work: Path) -> list[Tensor]:
    """Codes (frames, groups) of the first utterances; made once and kept in `guessed.pt`."""
    file = work / "guessed.pt"
    if not file.exists():
        torch.manual_seed(0)
        spoken = encode_speech(config, work)[:UTTERANCES]
        talker = Qwen3OmniMoeTalkerForConditionalGeneration(config.talker_config)
        talker.load_state_dict(torch.load(work / "talker.pt")["model"])
        teacher = Teacher(config, talker.eval(), torch.cat([one.codes for one in spoken]))
        temperature = TRAINED_DRAWING["code_predictor_temperature"]
        made = [guessed(teacher, one, temperature) for one in tqdm(spoken, desc="guesses", mininterval=5)]
        torch.save([codes.to(torch.int16) for codes in made], file)
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


def train_decoder(config: Qwen3OmniMoeConfig, work: Path, steps: int) -> None:
    """Writes `decoder.pt`; goes on where an earlier run was cut off."""
    torch.manual_seed(0)
    codec, loss_of = read_codec(config, work), SpectralLoss(FINE)
    spoken = zip(read_speech(work), encode_speech(config, work), guesses(config, work), strict=False)
    learned_from = [(torch.from_numpy(heard.samples.copy()), one.codes, codes) for heard, one, codes in spoken]

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        sound, codes, guess = learned_from[int(torch.randint(len(learned_from), ()))]
        wanted, codes = crop(sound, codes if torch.rand(()) < TRUE else guess, CROP)
        made = codec.decode(codec.latents(codes[None]))
        return loss_of(made, wanted[None, : made.shape[1]])

    codec.fast()
    train(codec.decoder, loss, steps, PEAK_RATE, Checkpoint(work / "decoder.pt"), betas=(0.8, 0.99))


def read_decoder(config: Qwen3OmniMoeConfig, work: Path) -> Codec:
    """The codec with the decoder that goes with the talker."""
    codec = read_codec(config, work)
    codec.decoder.load_state_dict(torch.load(work / "decoder.pt")["model"])
    return codec.eval()


def main(arguments: list[str]) -> None:
    given = parser("decoder", __doc__, STEPS).parse_args(arguments)
    torch.set_num_threads(given.threads)
    train_decoder(demo_config(SIZE), given.work, given.steps)
