"""The talker and its code predictor learn to say text in the codec's codes, all frames of an utterance at once.

What the talker is fed is the reference's protocol, which sglang_omni/models/qwen3_omni/prompt.py describes. A part of
the frames it hears of itself is replaced by others (as in scheduled sampling, Bengio et al. 2015), for in use it hears
its own mistakes; without that it learns utterances by heart.
"""

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeTalkerForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo import demo_config
from sglang_omni.models.qwen3_omni.prompt import codec_ids
from training import shipped
from training.codes import SPELLING, Spoken, encode_speech
from training.embeddings import text_embeddings
from training.initial import initialise
from training.loop import Checkpoint, train
from training.parts import SIZE, parser
from training.vocabulary import tokenizer

STEPS = 9000
ROWS = 1800
"""Of a batch, about; utterances of like length share one."""

REPLACED = 0.2
"""Share of the frames in the history that are other frames."""

PREDICTED = 256
"""Frames of a batch from which the code predictor learns."""

HELD_OUT = 96
"""Utterances on which progress is shown."""

PEAK_RATE, RATE_ON = 1.5e-3, 1e-3
FASTER, FASTER_ON = 5.0, 2.0
"""Rates, and how much faster matrices learn: from nothing, and from what is shipped."""


class Teacher:
    """Puts utterances into batches as the talker will meet them, and tells its losses."""

    def __init__(self, config: Qwen3OmniMoeConfig, talker: Qwen3OmniMoeTalkerForConditionalGeneration, pool: Tensor):
        """`pool` (frames, groups): what may stand in the history in place of the right frame."""
        self.config, self.talker, self.pool = config, talker, pool
        self.embeddings = text_embeddings(config)
        encode: Tokenizer = tokenizer()
        self.turns = Turns(encode)
        self._answer = encode.encode("<|im_start|>assistant\n").ids

    def losses(self, batch: list[Spoken], replaced: float) -> dict[str, Tensor]:
        """Cross-entropies of the first code, of the other that tells phones, and of those that tell sound; and the
        share of first codes that are right."""
        said = torch.cat(self._said(batch, replaced))
        end = torch.tensor([self.config.talker_config.codec_eos_token_id])
        first = torch.cat([torch.cat((spoken.codes[:, 0], end)) for spoken in batch])
        logits = self.talker.codec_head(said)
        is_frame = first != end
        others = self._others(said[is_frame], torch.cat([spoken.codes for spoken in batch]))
        return {
            "first": F.cross_entropy(logits, first),
            "phones": others[: SPELLING - 1].mean(),
            "sound": others[SPELLING - 1 :].mean(),
            "right": (logits.argmax(-1) == first).float().mean(),
        }

    def _said(self, batch: list[Spoken], replaced: float) -> list[Tensor]:
        """Of each utterance (frames + 1, hidden): where its frames, and then its end, are to come from."""
        parts = [self._rows(spoken, replaced) for spoken in batch]
        longest = max(len(rows) for rows, _ in parts)
        inputs = torch.stack([F.pad(rows, (0, 0, 0, longest - len(rows))) for rows, _ in parts])
        hidden = self.talker.model(inputs_embeds=inputs, use_cache=False).last_hidden_state  # padding follows: causal
        return [rows[head - 1 : head + len(s.codes)] for rows, (_, head), s in zip(hidden, parts, batch, strict=True)]

    def _rows(self, spoken: Spoken, replaced: float) -> tuple[Tensor, int]:
        """(rows, hidden) of one utterance, and how many of them its prompt has."""
        user, media = self.turns.draw()
        pads, begin = self._special("tts_pad_token_id", 4), self._special("tts_bos_token_id")
        head = [*user, *self._answer, *pads, *begin, spoken.text[0]]
        frames = len(spoken.codes)
        after = [*spoken.text[1:], *self._special("tts_eos_token_id")]
        after = (after + self._special("tts_pad_token_id", frames))[:frames]
        text = self.talker.text_projection(self.embeddings[torch.tensor(head + after)])
        if media:  # the hidden projection is zero: what it sees or hears does not change how it speaks
            text = torch.where((torch.tensor(head + after) == media)[:, None], 0.0, text)
        c = self.config.talker_config
        codec = codec_ids(c, spoken.voice)
        sound = self.talker.get_input_embeddings()(torch.tensor(codec))
        history = self._history(spoken.codes, replaced)
        return text + F.pad(torch.cat((sound, history)), (0, 0, len(head) - len(codec), 0)), len(head)

    def _history(self, codes: Tensor, replaced: float) -> Tensor:
        if replaced:
            others = self.pool[torch.randint(len(self.pool), (len(codes),))]
            codes = torch.where(torch.rand(len(codes), 1) < replaced, others, codes)
        rows = self.talker.get_input_embeddings()(codes[:, 0])
        for group, embedding in enumerate(self.talker.code_predictor.get_input_embeddings(), 1):
            rows = rows + embedding(codes[:, group])
        return rows

    def _others(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """(groups - 1,)"""
        chosen = torch.randperm(len(codes))[:PREDICTED]
        hidden, codes = hidden[chosen], codes[chosen]
        predictor = self.talker.code_predictor
        rows = [hidden, self.talker.get_input_embeddings()(codes[:, 0])]
        rows += [table(codes[:, group]) for group, table in enumerate(predictor.get_input_embeddings()[:-1], 1)]
        made = predictor.model(inputs_embeds=torch.stack(rows, 1), use_cache=False).last_hidden_state
        losses = [F.cross_entropy(head(made[:, i]), codes[:, i]) for i, head in enumerate(predictor.lm_head, 1)]
        return torch.stack(losses)

    def _special(self, name: str, count: int = 1) -> list[int]:
        return [getattr(self.config, name)] * count


class Turns:
    """What a user said before the answer: nothing, for a text that is read aloud, or a question of the dialogue."""

    def __init__(self, encode: Tokenizer):
        self._encode = encode
        self._sound = encode.token_to_id("<|audio_pad|>")

    def draw(self) -> tuple[list[int], int | None]:
        """Token ids of the turn; and which of them stand for media, if any do."""
        from training.dialogue import ask

        chance = random.random()
        if chance < 0.65:
            return self._turn(""), None
        if chance < 0.9:
            return self._turn(ask(random, "train").text), None  # type: ignore[arg-type]
        media = "<|audio_start|>" + "<|audio_pad|>" * random.randint(4, 30) + "<|audio_end|>"
        return self._turn(media + random.choice(["", "What do you see?", "What do you hear?"])), self._sound

    def _turn(self, text: str) -> list[int]:
        return self._encode.encode(f"<|im_start|>user\n{text}<|im_end|>\n").ids


def train_talker(config: Qwen3OmniMoeConfig, work: Path, steps: int, go_on: bool = False) -> None:
    """Writes `talker.pt`; goes on where an earlier run was cut off, or with what is shipped."""
    torch.manual_seed(0)
    spoken = encode_speech(config, work, go_on)
    shown, spoken = spoken[-HELD_OUT:], spoken[:-HELD_OUT]
    talker = Qwen3OmniMoeTalkerForConditionalGeneration(config.talker_config)
    initialise(talker)
    for parameter in talker.hidden_projection.parameters():
        nn.init.zeros_(parameter).requires_grad_(False)
    if go_on:
        talker.load_state_dict(shipped.weights("talker"))
    teacher = Teacher(config, talker, torch.cat([s.codes for s in spoken]))

    def loss(step: int) -> Tensor:
        random.seed(step)
        torch.manual_seed(step)
        losses = teacher.losses(_batch(spoken), REPLACED)
        return losses["first"] + losses["phones"] + losses["sound"]

    def after(step: int) -> None:
        if (step + 1) % 200 == 0:
            print(f"talker: held out after {step + 1}: {_told(teacher, shown)}", flush=True)

    rate, faster = (RATE_ON, FASTER_ON) if go_on else (PEAK_RATE, FASTER)
    train(talker, loss, steps, rate, Checkpoint(work / "talker.pt"), after_step=after, faster=faster)


@torch.no_grad()
def _told(teacher: Teacher, spoken: list[Spoken]) -> str:
    parts = [teacher.losses(spoken[i : i + 16], 0.0) for i in range(0, len(spoken), 16)]
    means = {name: sum(float(part[name]) for part in parts) / len(parts) for name in parts[0]}
    return " ".join(f"{name} {mean:.3f}" for name, mean in means.items())


def _batch(spoken: list[Spoken]) -> list[Spoken]:
    """Utterances of about the same length, ROWS of them together."""
    drawn = sorted(random.sample(spoken, 128), key=lambda s: len(s.codes))
    begin = random.randrange(len(drawn))
    batch: list[Spoken] = []
    for s in drawn[begin:] + drawn[:begin][::-1]:
        longest = max([len(s.codes), *(len(other.codes) for other in batch)]) + 20
        if batch and longest * (len(batch) + 1) > ROWS:
            break
        batch.append(s)
    return batch


def main(arguments: list[str]) -> None:
    given = parser("talker", __doc__, STEPS).parse_args(arguments)
    torch.set_num_threads(given.threads)
    train_talker(demo_config(SIZE), given.work, given.steps, given.go_on)
