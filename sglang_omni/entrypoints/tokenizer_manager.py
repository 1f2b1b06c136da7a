"""SGLang's TokenizerManager, the way of every request to the thinker, with checks in front."""

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import cached_property, partial
from typing import Any

from fastapi import Request
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.tokenizer_manager import TokenizerManager
from sglang.srt.sampling.sampling_params import SamplingParams

from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.chat import OmniServingChat
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.engine_request import check_request, clients_fault
from sglang_omni.entrypoints.errors import without_paths
from sglang_omni.entrypoints.request_id import claim
from sglang_omni.thinker.forwarder import SPEECH
from sglang_omni.thinker.seeds import next_seed

POLL_SECONDS = 0.1
ABORT_SECONDS = 2.0


class OmniTokenizerManager(TokenizerManager):
    """What is wrong with a request is a ClientError, for our code and SGLang's alike."""

    client: Client
    drain: Callable[[], Awaitable[None]]
    """Ends whatever is to end before SGLang's processes do."""

    @cached_property
    def _answering(self) -> dict[str, Account]:
        """By the ids that clients know."""
        return {}

    @property
    def serving_chat_class(self) -> Callable[..., OmniServingChat]:
        return partial(OmniServingChat, client=self.client)

    def stop_watching(self) -> None:
        """From now on the end of a process is no crash."""
        if self._subprocess_watchdog is not None:
            self._subprocess_watchdog.stop()

    def abort_request(self, rid: str = "", abort_all: bool = False) -> None:
        """Of a request that speaks, also if its text is complete; of one with several choices or prompts, which have
        ids of their own, each."""
        account = self._answering.get(rid)
        parts = [thought.obj.rid for thought in account.thoughts] if account else []
        for id in parts or [rid]:
            super().abort_request(id, abort_all)
        if rid or abort_all:
            self.client.abort_speech(None if abort_all else rid)

    async def sigterm_watchdog(self) -> None:
        """SGLang's knows of the thinker's requests alone, waits for them without a limit, and looks rarely."""
        while not self.gracefully_exit:
            await asyncio.sleep(POLL_SECONDS)
        await self.drain()
        self.abort_request(abort_all=True)  # those that no client waits for
        last_words = time.monotonic() + ABORT_SECONDS
        while self.rid_to_state and time.monotonic() < last_words:
            await asyncio.sleep(POLL_SECONDS)
        await super().sigterm_watchdog()

    async def generate_request(self, obj: Any, request: Request | None = None) -> AsyncGenerator[Any, None]:
        obj.is_single = True  # until SGLang looks: what it cleans up with asks, also after a refusal
        with clients_fault():
            if isinstance(obj, GenerateReqInput):
                check_request(obj)
                if obj.rid is None and request is not None:
                    obj.rid = claim(request)
            account = Account({}) if request is None else request.state.account
            id = obj.rid
            if request is not None and isinstance(id, str):
                self._answering[id] = account
            try:
                async with aclosing(super().generate_request(obj, request)) as outputs:
                    async for output in outputs:
                        account.thought = output
                        yield output
            finally:
                if isinstance(id, str):
                    self._answering.pop(id, None)

    def _wait_one_response(self, obj: Any, request: Request | None = None) -> AsyncGenerator[Any, None]:
        state = self.rid_to_state[obj.rid]
        # What SGLang sends ahead, that several choices find their prompt read, has no times of its own.
        if request is not None and state.time_stats.api_server_dispatch_finish_time:
            request.state.account.thoughts.append(state)
        return super()._wait_one_response(obj, request)

    async def _send_one_request(self, tokenized_obj: Any) -> None:
        """Gives each of `n` choices a seed of its own: SGLang sends all of them, in order, with the same parameters."""
        params = tokenized_obj.sampling_params
        tokenized_obj.sampling_params = copy.copy(params)
        await super()._send_one_request(tokenized_obj)
        if isinstance(params, SamplingParams) and params.n > 1 and params.sampling_seed is not None:
            params.sampling_seed = next_seed(params.sampling_seed)

    async def _handle_abort_finish_reason(self, out: dict, state: Any, is_stream: bool) -> dict | None:
        reason = out["meta_info"]["finish_reason"]
        if "message" in reason:
            reason["message"] = without_paths(reason["message"])
        return await super()._handle_abort_finish_reason(out, state, is_stream)

    def _validate_one_request(self, obj: Any, input_ids: list[int] | None) -> None:
        """SGLang's checks, and some it leaves out: what they refuse would end the scheduler's process."""
        super()._validate_one_request(obj, input_ids)
        size = self.model_config.vocab_size
        if input_ids and not (min(input_ids) >= 0 and max(input_ids) < size):
            raise ValueError(f"input_ids must be token ids, from 0 to {size - 1}")
        if isinstance(obj, GenerateReqInput):
            if input_ids == [] and not (obj.session_params or {}).get("id"):
                raise ValueError("the prompt is empty")
            if (obj.logprob_start_len or 0) < -1:
                raise ValueError("logprob_start_len must be at least -1")
            if not 0 <= (obj.top_logprobs_num or 0) <= size:
                raise ValueError(f"no more than {size} log probabilities per token exist")
            if any(id >= size for id in (obj.sampling_params or {}).get("stop_token_ids") or ()):
                raise ValueError(f"stop_token_ids must be token ids, from 0 to {size - 1}")
            custom = (obj.sampling_params or {}).get("custom_params")
            if SPEECH in (custom or {}):
                if not self.client.listens_to(obj.rid):
                    raise ValueError(f"custom_params.{SPEECH} is not for clients: ask /v1/chat/completions for audio")
                self.client.pipeline.check_prompt(input_ids or [])
