"""The trained model's tokenizer without the rest of its checkpoint."""

import tempfile
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from sglang_omni.models.qwen3_omni.demo.tokenizer import TRAINED_VOCABULARY, write_tokenizer


@cache
def tokenizer() -> Tokenizer:
    with tempfile.TemporaryDirectory() as directory:
        write_tokenizer(Path(directory), TRAINED_VOCABULARY)
        return Tokenizer.from_file(str(Path(directory) / "tokenizer.json"))
