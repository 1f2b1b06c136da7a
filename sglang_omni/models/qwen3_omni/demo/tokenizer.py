"""Qwen's kind of tokenizer with a vocabulary learned from a page of text."""

import itertools
import json
from collections import Counter
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import regex
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
)
"""In the order of their ids, which follow the ordinary vocabulary's without a gap."""

PART_OF_THE_TEXT = frozenset(
    token for token in SPECIAL_TOKENS if "tool" in token or "think" in token or "fim" in token
) | {"<|repo_name|>", "<|file_sep|>"}
"""Tokens that `skip_special_tokens` keeps: parsers of tool calls and reasoning look for them."""

NAMED_TOKENS = {
    "image_token": "<|image_pad|>",
    "audio_token": "<|audio_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}

WORD_START = "Ġ"
"""How a byte-level vocabulary writes the space in front of a word."""

ROLES = ("system", "user", "assistant")


class Vocabulary:
    """Token text -> id for the tokens that the config names: the three roles and the special tokens.

    `ordinary` is the number of ordinary tokens, `size` the length of the embedding table. A learned token has at most
    `longest` bytes, unless it is a role.
    """

    def __init__(self, ordinary: int, size: int, roles: dict[str, int] | None = None, longest: int | None = None):
        self.ordinary, self.size, self.longest, self._roles = ordinary, size, longest, roles

    @cached_property
    def _ids(self) -> dict[str, int]:
        special = {token: self.ordinary + i for i, token in enumerate(SPECIAL_TOKENS)}
        return special | (self._roles or {role: learned_tokens(self)[0][role] for role in ROLES})

    def __getitem__(self, token: str) -> int:
        return self._ids[token]


PRODUCTION_VOCABULARY = Vocabulary(151_643, 152_064, {"system": 8948, "user": 872, "assistant": 77091})
DEMO_VOCABULARY = Vocabulary(1024 - len(SPECIAL_TOKENS), 1024)
TRAINED_VOCABULARY = Vocabulary(464 - len(SPECIAL_TOKENS), 464, longest=2)
"""Pieces of two letters, for a talker of a few layers: it is given one per 80 ms of sound, so whole words would run far
ahead of what is being said, and single letters behind it."""


@cache
def learned_tokens(vocabulary: Vocabulary = DEMO_VOCABULARY) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary's ordinary tokens with their ids, and the merges that make them, by byte-pair encoding.

    The most frequent pair is merged first, of equals the smaller, so every run learns the same. The pairs that make a
    role one token come first, or last where others may not become as long.
    """
    text = resources.files(__package__).joinpath("corpus.txt").read_text()
    pieces = Counter(regex.findall(PRETOKENIZE_REGEX, text))
    longest = vocabulary.longest
    if longest is None:
        pieces.update(dict.fromkeys(ROLES, 1000))
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = {tuple(to_bytes.pre_tokenize_str(piece)[0][0]): count for piece, count in pieces.items()}
    roles = [tuple(role) for role in ROLES]
    tokens, merges = sorted(pre_tokenizers.ByteLevel.alphabet()), []
    while len(tokens) < vocabulary.ordinary:
        left = vocabulary.ordinary - len(tokens)
        if left > sum(len(role) - 1 for role in roles) or longest is None:
            best = _most_frequent(words, longest)
        else:
            best = next((role[0], role[1]) for role in roles if len(role) > 1)
        tokens.append("".join(best))
        merges.append(best)
        words = {_merge(word, best): count for word, count in words.items()}
        roles = [_merge(role, best) for role in roles]
    return {token: id for id, token in enumerate(tokens)}, merges


def _most_frequent(words: dict[tuple[str, ...], int], longest: int | None) -> tuple[str, str]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            if longest is None or len("".join(pair)) <= longest:
                pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged, i = [], 0
    while i < len(word):
        step = 2 if word[i : i + 2] == pair else 1
        merged.append("".join(word[i : i + step]))
        i += step
    return tuple(merged)


def write_tokenizer(directory: Path, vocabulary: Vocabulary = DEMO_VOCABULARY) -> None:
    """Writes `tokenizer.json` and `tokenizer_config.json`."""
    tokens, merges = learned_tokens(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=dict(tokens), merges=list(merges)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(
        [AddedToken(token, special=token not in PART_OF_THE_TEXT, normalized=False) for token in SPECIAL_TOKENS]
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen3OmniMoeProcessor",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 32768,
        "extra_special_tokens": NAMED_TOKENS,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
