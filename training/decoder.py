"""The family's code2wav learns to make sound of codes.

It makes of each frame's codes the frame before, so that it knows what comes next: a sound leans towards the one that
follows. First it learns from the synthesiser's own codes; then, as vocoders are trained on what an acoustic model says
when it is led along the truth (Shen et al. 2018, "Tacotron 2", section 2.2), from codes as the talker guesses them.
"""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCode2Wav,
    Qwen3OmniMoeSnakeBeta,
    Qwen3OmniMoeTalkerForConditionalGeneration,
)

from sglang_omni.models.qwen3_omni.demo import TRAINED_DRAWING, demo_config
from training import shipped
from training.codes import Spoken, encode_speech
from training.loop import Checkpoint, train
from training.mel import SpectralLoss
from training.parts import SIZE, parser, whole
from training.speech import FRAME, read_speech
from training.talker import Teacher

STEPS, GUESSED_STEPS = 4000, 1500
PEAK_RATE = 2.5e-3
PIECES, CONTEXT, FRAMES = 3, 36, 12
"""Pieces of a step; frames of a piece that the transformer sees; and of these, frames that become sound."""

UTTERANCES = 3000
"""Of which the talker guesses codes."""

HARDER = {"ethan": 2}
"""How many times as often as others a voice is heard whose sound is harder to make."""


def new_decoder(config: Qwen3OmniMoeConfig) -> Qwen3OmniMoeCode2Wav:
    torch.manual_seed(0)
    decoder = Qwen3OmniMoeCode2Wav(config.code2wav_config)
    nn.init.normal_(decoder.code_embedding.weight)
    for name, parameter in decoder.named_parameters():
        if name.endswith("scale"):  # of a transformer's layer; the reference starts at 0.01
            nn.init.constant_(parameter, 0.3)
        elif name.endswith("gamma"):
            nn.init.constant_(parameter, 0.1)
    return decoder


def fast(decoder: Qwen3OmniMoeCode2Wav) -> None:
    """Compiles what costs much and is no matrix product, where there is a compiler; to be called once."""
    if shutil.which("g++") is None:
        return
    for module in decoder.modules():
        if isinstance(module, Qwen3OmniMoeSnakeBeta):
            module.compile(dynamic=True)


def decode(decoder: Qwen3OmniMoeCode2Wav, codes: Tensor, begins: Tensor) -> Tensor:
    """The reference's `forward`, of whose transformer only some frames go on.

    Codes (pieces, frames, groups), and where FRAMES frames begin (pieces,) -> (pieces, samples).
    """
    rows = decoder.code_embedding(codes + decoder.code_offset.view(1, 1, -1)).mean(2)
    rows = decoder.pre_transformer(inputs_embeds=rows).last_hidden_state
    h = torch.stack([row[begin : begin + FRAMES] for row, begin in zip(rows, begins, strict=True)]).mT
    for blocks in decoder.upsample:
        for block in blocks:
            h = block(h)
    for block in decoder.decoder:
        h = block(h)
    return h[:, 0]


def piece(sound: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, int]:
    """Of an int16 sound and its codes (frames, groups): FRAMES frames as floats, the codes that they are made of and
    those around, and where among these they begin."""
    length = len(codes)
    first = int(torch.randint(max(1, length - CONTEXT + 1), ()))
    around = codes[first : first + CONTEXT]
    begin = int(torch.randint(max(1, len(around) - FRAMES + 1), ()))
    around = torch.cat([around, around[-1:].expand(CONTEXT - len(around), -1)])
    delayed = F.pad(sound, (FRAME, max(0, FRAMES - length) * FRAME))[(first + begin) * FRAME :]
    return delayed[: FRAMES * FRAME] / 32768, around, begin


def train_decoder(
    decoder: Qwen3OmniMoeCode2Wav, learned_from: list[tuple[Tensor, list[Tensor]]], steps: int, file: Path
) -> None:
    """`learned_from`: int16 sounds, and codes of which one of each is drawn. Goes on with what is in `file`."""
    torch.manual_seed(0)
    loss_of = SpectralLoss()

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        drawn = [learned_from[i] for i in torch.randint(len(learned_from), (PIECES,)).tolist()]
        pieces = [piece(sound, codes[int(torch.randint(len(codes), ()))]) for sound, codes in drawn]
        wanted, codes, begins = zip(*pieces, strict=True)
        made = decode(decoder, torch.stack(codes), torch.tensor(begins))
        return loss_of(made, torch.stack(wanted)[:, : made.shape[1]])

    train(decoder, loss, steps, PEAK_RATE, Checkpoint(file), betas=(0.8, 0.99))


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


def read_decoder(config: Qwen3OmniMoeConfig, work: Path) -> Qwen3OmniMoeCode2Wav:
    """The one that goes with the talker, or if there is none, the one before."""
    decoder = Qwen3OmniMoeCode2Wav(config.code2wav_config)
    files = [work / "decoder_guessed.pt", work / "decoder.pt"]
    decoder.load_state_dict(torch.load(next(file for file in files if file.exists()))["model"])
    return decoder.eval()


def often(
    voices: Sequence[str], sounds: Sequence[Tensor], codes: Sequence[list[Tensor]]
) -> list[tuple[Tensor, list[Tensor]]]:
    """Sounds with their codes, as far as there are codes, each as often as its voice is to be heard."""
    each = zip(voices, sounds, codes, strict=False)
    return [(sound, its) for voice, sound, its in each for _ in range(HARDER.get(voice, 1))]


def main(arguments: list[str]) -> None:
    options = parser("decoder", __doc__, STEPS)
    options.add_argument("--guessed-steps", type=int, default=GUESSED_STEPS, help="(default: %(default)s)")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    config = demo_config(SIZE)
    voices, sounds = zip(
        *((heard.voice, torch.from_numpy(heard.samples.copy())) for heard in read_speech(given.work)), strict=True
    )
    codes = [[spoken.codes] for spoken in encode_speech(config, given.work, given.go_on)]
    decoder = new_decoder(config)
    if given.go_on:
        decoder.load_state_dict(shipped.weights("code2wav"))
    fast(decoder)
    train_decoder(decoder, often(voices, sounds, codes), given.steps, given.work / "decoder.pt")
    if not given.guessed_steps:
        return
    both = [[*own, guess] for own, guess in zip(codes, guesses(config, given.work), strict=False)]
    train_decoder(decoder, often(voices, sounds, both), given.guessed_steps, given.work / "decoder_guessed.pt")
