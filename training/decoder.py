"""The family's code2wav learns to make sound of codes.

It makes of each frame's codes the frame before, so that it knows what comes next: a sound leans towards the one that
follows. First what comes before the sound learns alone what the spectra will be, of which one sees far more in the same
time; then all of it learns to make sound, of the synthesiser's own codes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCode2Wav,
    Qwen3OmniMoeSnakeBeta,
)

from sglang_omni.models.qwen3_omni.demo import demo_config
from training import shipped
from training.codes import encode_speech
from training.loop import Checkpoint, train
from training.mel import Spectra, SpectralLoss
from training.parts import SIZE, parser
from training.speech import FRAME, read_speech

SPECTRA_STEPS, STEPS = 2000, 9000
PEAK_RATE = 2.5e-3
SPECTRA_PIECES, PIECES, CONTEXT, FRAMES = 16, 3, 36, 12
"""Pieces of a step, of spectra or sounds; frames of a piece that the transformer sees; and of these, frames that become
sound."""

BEFORE_SOUND = "code_embedding", "pre_transformer", "upsample"
"""What learns spectra first, and then slower than what it has not seen."""

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
    rows = zip(contexts(decoder, codes), begins, strict=True)
    h = upsampled(decoder, torch.stack([row[begin : begin + FRAMES] for row, begin in rows]))
    for block in decoder.decoder:
        h = block(h)
    return h[:, 0]


def contexts(decoder: Qwen3OmniMoeCode2Wav, codes: Tensor) -> Tensor:
    """What the transformer makes of codes (pieces, frames, groups): (pieces, frames, hidden)."""
    rows = decoder.code_embedding(codes + decoder.code_offset.view(1, 1, -1)).mean(2)
    return decoder.pre_transformer(inputs_embeds=rows).last_hidden_state


def upsampled(decoder: Qwen3OmniMoeCode2Wav, rows: Tensor) -> Tensor:
    """(pieces, frames, hidden) -> (pieces, hidden, steps of 20 ms)"""
    h = rows.mT
    for blocks in decoder.upsample:
        for block in blocks:
            h = block(h)
    return h


def piece(sound: Tensor, codes: Tensor, frames: int = FRAMES) -> tuple[Tensor, Tensor, int]:
    """Of an int16 sound and its codes (frames, groups): so many frames as floats, the codes that they are made of and
    those around, and where among these they begin."""
    length = len(codes)
    first = int(torch.randint(max(1, length - CONTEXT + 1), ()))
    around = codes[first : first + CONTEXT]
    begin = int(torch.randint(max(1, len(around) - frames + 1), ()))
    around = torch.cat([around, around[-1:].expand(CONTEXT - len(around), -1)])
    delayed = F.pad(sound, (FRAME, max(0, frames - length) * FRAME))[(first + begin) * FRAME :]
    return delayed[: frames * FRAME] / 32768, around, begin


Learned = list[tuple[Tensor, Tensor]]
"""int16 sounds, and the codes (frames, groups) of each."""


def some(learned_from: Learned, count: int, frames: int = FRAMES) -> tuple[Tensor, Tensor, Tensor]:
    """Pieces drawn anew: sounds (count, frames * FRAME), codes (count, CONTEXT, groups) and where each begins."""
    drawn = [learned_from[i] for i in torch.randint(len(learned_from), (count,)).tolist()]
    pieces = [piece(sound, codes, frames) for sound, codes in drawn]
    wanted, codes, begins = zip(*pieces, strict=True)
    return torch.stack(wanted), torch.stack(codes), torch.tensor(begins)


def learn_spectra(
    decoder: Qwen3OmniMoeCode2Wav,
    learned_from: Learned,
    steps: int,
    file: Path,
    say: Callable[[str], None] = print,
) -> None:
    """Teaches all that comes before the sound what its spectra are. Goes on with what is in `file`."""
    torch.manual_seed(0)
    spectra = Spectra()
    parts = nn.ModuleDict({name: getattr(decoder, name) for name in BEFORE_SOUND})
    parts["head"] = head = nn.Linear(decoder.config.hidden_size, spectra.size)

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        wanted, codes, _ = some(learned_from, SPECTRA_PIECES, CONTEXT)
        return F.l1_loss(head(upsampled(decoder, contexts(decoder, codes)).mT), spectra(wanted))

    train(parts, loss, steps, PEAK_RATE, Checkpoint(file), say)


def train_decoder(decoder: Qwen3OmniMoeCode2Wav, learned_from: Learned, steps: int, file: Path) -> None:
    """Teaches it to make sound. Goes on with what is in `file`."""
    torch.manual_seed(0)
    loss_of = SpectralLoss()

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        wanted, codes, begins = some(learned_from, PIECES)
        made = decode(decoder, codes, begins)
        return loss_of(made, wanted[:, : made.shape[1]])

    train(decoder, loss, steps, PEAK_RATE, Checkpoint(file), slower=BEFORE_SOUND, betas=(0.8, 0.99))


def read_decoder(config: Qwen3OmniMoeConfig, work: Path) -> Qwen3OmniMoeCode2Wav:
    decoder = Qwen3OmniMoeCode2Wav(config.code2wav_config)
    decoder.load_state_dict(torch.load(work / "decoder.pt")["model"])
    return decoder.eval()


def heard(config: Qwen3OmniMoeConfig, work: Path, go_on: bool = False) -> Learned:
    """All utterances with the synthesiser's own codes, each as often as its voice is to be heard."""
    each = zip(read_speech(work), encode_speech(config, work, go_on), strict=True)
    known = [(said.voice, torch.from_numpy(said.samples.copy()), spoken.codes) for said, spoken in each]
    return [(sound, codes) for voice, sound, codes in known for _ in range(HARDER.get(voice, 1))]


def main(arguments: list[str]) -> None:
    options = parser("decoder", __doc__, STEPS)
    options.add_argument("--spectra-steps", type=int, default=SPECTRA_STEPS, help="(default: %(default)s)")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    config = demo_config(SIZE)
    learned_from = heard(config, given.work, given.go_on)
    decoder = new_decoder(config)
    if given.go_on:
        decoder.load_state_dict(shipped.weights("code2wav"))
    learn_spectra(decoder, learned_from, 0 if given.go_on else given.spectra_steps, given.work / "spectra.pt")
    fast(decoder)
    train_decoder(decoder, learned_from, given.steps, given.work / "decoder.pt")
