"""What the thinker tells the talker about requests that speak."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from sglang.srt.managers.schedule_batch import FINISH_ABORT, FINISH_LENGTH, Req
from torch import Tensor

from sglang_omni.layers.transfer import send
from sglang_omni.sidecar.messages import Abort, Chunk, Finish, Message, Start
from sglang_omni.thinker.tap import HostCopy, Tap
from sglang_omni.thinker.transcript import settled

SPEECH = "omni"  # the key under `sampling_params.custom_params` that marks a request as one that speaks
STAGES = "omni_stages"  # the key beside it: JSON of what the client said to each stage by name


class Outbox(Protocol):
    def send(self, batch: list[Message]) -> None: ...


@dataclass
class Speech:
    """A request that speaks, from the end of its prompt on. `taken` output tokens need not be looked at again."""

    params: dict[str, Any]
    stages: dict[str, dict[str, Any]]
    media_rows: HostCopy
    priority: int = 0
    taken: int = 0
    started: bool = False


class Forwarder:
    """Sends a Start, Chunks of the transcript's token ids and a Finish for each request that speaks, or an Abort.

    `prompt_slots` gives the KV slots `(length,)` of a request's prompt, and `priority` how it is to be preferred.
    """

    def __init__(
        self,
        outbox: Outbox,
        tap: Tap,
        media_token_ids: Sequence[int],
        prompt_slots: Callable[[Req], Tensor],
        priority: Callable[[Req], int] = lambda req: 0,
    ):
        self.outbox = outbox
        self._tap = tap
        self._media_token_ids = torch.tensor(media_token_ids)
        self._prompt_slots = prompt_slots
        self._priority = priority
        self._speeches: dict[str, Speech] = {}

    def prefilled(self, reqs: Iterable[Req]) -> None:
        """A prefill forward of `reqs` was launched: keep what the talker needs of prompts that are now complete.

        A request that finishes on its first token gives its KV back before its output is streamed, so the rows are
        gathered here, right behind the forward and on its stream. A retracted request comes by again: its speech
        goes on where it was.
        """
        for req in reqs:
            custom = req.sampling_params.custom_params or {}
            speech = custom.get(SPEECH)
            if speech is None or req.rid in self._speeches or req.extend_end < len(req.origin_input_ids):
                continue
            # In `origin_input_ids` hashes of the media stand where the placeholders were.
            prompt_ids = torch.tensor(req.origin_input_ids_unpadded[: len(req.origin_input_ids)])
            media = torch.isin(prompt_ids, self._media_token_ids)
            slots = self._prompt_slots(req)
            rows = self._tap.read(slots[send(media.nonzero().flatten(), slots.device)])
            params = {"prompt_ids": prompt_ids, "positions": _positions(req), "speech": speech}
            stages = json.loads(custom.get(STAGES, "{}"))
            self._speeches[req.rid] = Speech(params, stages, HostCopy(rows), self._priority(req))

    def committed(self, reqs: Iterable[Req]) -> None:
        """Tokens of `reqs` were committed, or they are over: sends what is new."""
        news: list[Message] = []
        for req in reqs:
            speech = self._speeches.get(req.rid)
            if speech is None:
                continue
            if req.finished():
                del self._speeches[req.rid]
                if isinstance(req.finished_reason, FINISH_ABORT):
                    if speech.started:
                        news.append(Abort(req.rid))
                    continue
            ids, speech.taken = settled(req, speech.taken)
            if not speech.started and (ids or req.finished()):  # there may be nothing to say
                params = {**speech.params, "media_rows": speech.media_rows.tensor()}
                news.append(Start(req.rid, params, speech.stages, speech.priority))
                speech.started = True
            if ids:
                news.append(Chunk(req.rid, ids))
            if req.finished():
                cut = isinstance(req.finished_reason, FINISH_LENGTH)
                news.append(Finish(req.rid, "length" if cut else "stop"))
        if news:
            self.outbox.send(news)

    def aborted(self, request_id: str) -> None:
        """SGLang dropped a request outside the output stream: from a queue."""
        speech = self._speeches.pop(request_id, None)
        if speech is not None and speech.started:
            self.outbox.send([Abort(request_id)])


def _positions(req: Req) -> Tensor:
    """(3, length) of the prompt; SGLang appends the generated positions when it retracts a request."""
    length = len(req.origin_input_ids)
    media = req.multimodal_inputs
    if media is None or media.mrope_positions is None:
        return torch.arange(length).expand(3, -1)
    return media.mrope_positions[:, :length].long()
