"""Text is text: what a user types never becomes a special token.

A chat template mixes its own special tokens (`<|im_start|>`, `<|image_pad|>`) with text from the request, and a
tokenizer cannot tell which is which. So a mark, a character that the request does not contain, is put inside every
special token that the request spells; the template is rendered; the tokens still whole are the template's own, and
everything between them is encoded as ordinary text, without the marks.

Tokens that a tokenizer adds but does not call special (`<think>`, `<tool_call>`) are part of a model's text,
templates look for them in messages, and they are left alone.
"""

import copy
import re
from typing import Any

from transformers import PreTrainedTokenizerBase

PRIVATE_USE = *range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)
"""Unicode's private-use characters: the mark is the first that the request does not contain."""


class PromptText:
    """Encodes prompts for one tokenizer.

    SGLang's chat serving keeps its own flow with three of its methods overridden:

        def _render_and_encode_chat_template(
            self, messages, *, tools, template_kwargs, encode_kwargs, use_cache, add_generation_prompt=True
        ):
            ids = self.prompt_text.render(
                messages, tools=tools, add_generation_prompt=add_generation_prompt, **template_kwargs
            )
            return ids, None

        def _append_assistant_prefix_to_prompt_ids(self, prompt_ids, assistant_prefix):
            return prompt_ids + self.prompt_text.encode(assistant_prefix)

        def _engine_prompt(self, processed_messages, is_multimodal):
            return "input_ids", processed_messages.prompt_ids  # media too: our processor expands ids, not text

    For `/v1/audio/speech`, `encode(input)` gives the ids to speak.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        self._plain = copy.deepcopy(tokenizer.backend_tokenizer)
        self._plain.encode_special_tokens = True  # that is: encode them as the text they look like
        self._ids = {token.content: id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)))
        self._beginnings = {token[:length] for token in self._ids for length in range(1, len(token))}
        self._longest_beginning = max(map(len, self._beginnings))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, none of them special."""
        return self._plain.encode(text, add_special_tokens=False).ids

    def render(self, messages: list[dict], *, tools: list[dict] | None = None, **template_kwargs: Any) -> list[int]:
        """The chat template's prompt as ids; its special tokens all come from the template. Raises ValueError for a
        request that has all private-use characters there are."""
        request = (messages, tools, template_kwargs)
        characters = set().union(*_strings(request))
        mark = next((chr(code) for code in PRIVATE_USE if chr(code) not in characters), None)
        if mark is None:
            raise ValueError("the messages use all of Unicode's private-use characters, of which one must be left")
        messages, tools, template_kwargs = self._break(request, mark)
        prompt = self._tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **template_kwargs)
        ids: list[int] = []
        end = 0
        for token in self._special.finditer(prompt):
            ids += self.encode(prompt[end : token.start()].replace(mark, ""))
            ids.append(self._ids[token.group()])
            end = token.end()
        return ids + self.encode(prompt[end:].replace(mark, ""))

    def _break(self, value: Any, mark: str) -> Any:
        """A copy of `value` with the mark inside every special token that its strings hold.

        A string may also end with the beginning of a token that the next one, joined by the template, completes.
        """
        if isinstance(value, str):
            value = self._special.sub(lambda token: token.group()[0] + mark + token.group()[1:], value)
            for length in range(min(len(value), self._longest_beginning), 0, -1):
                if value[-length:] in self._beginnings:
                    return value[: len(value) - length + 1] + mark + value[len(value) - length + 1 :]
            return value
        if isinstance(value, dict):
            return {self._break(key, mark): self._break(item, mark) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._break(item, mark) for item in value]
        return value


def _strings(value: Any) -> list[str]:
    """Every string in a tree of dicts and lists, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return [string for item in value for string in _strings(item)]
    return []
