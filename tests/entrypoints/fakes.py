"""An app like the server's, with a thinker and stages that say what a test tells them to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from sglang.srt.managers.tokenizer_manager import ServerStatus
from sglang.srt.observability.req_time_stats import APIServerReqTimeStats
from sglang.srt.observability.trace import fastapi_telemetry_disabled_kwargs
from sglang.srt.runtime_context import publish
from sglang.srt.server_args import ServerArgs
from starlette.background import BackgroundTasks

from sglang_omni.entrypoints.app import install
from sglang_omni.entrypoints.chat import OmniServingChat
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.running import RunningRequests
from sglang_omni.errors import OmniError
from sglang_omni.models.qwen3_omni import SPEC
from sglang_omni.models.qwen3_omni.config import LONGEST_TEXT
from sglang_omni.pipeline import Speech
from sglang_omni.sidecar.messages import Finish, Times

IDLE = {"slots": 8, "free": 8, "waiting": 0, "pages": 0, "free_pages": 0, "parked": 0}
VOICES = ("Chelsie", "ethan", "aiden")


@dataclass
class FakeThinker:
    """SGLang's TokenizerManager, as far as chat serving looks at it: answers every request with `words`."""

    tokenizer: Any
    words: list[str] = field(default_factory=lambda: ["Hello", " there", "."])
    finish: dict[str, Any] = field(default_factory=lambda: {"type": "stop", "matched": 7})
    error: Exception | None = None  # raised before the first word
    late_error: Exception | None = None  # raised after it
    forever: bool = False
    own_ids: bool = False  # of choices
    settings: dict[str, Any] = field(default_factory=dict)  # of the server
    usage: dict[str, int] = field(default_factory=lambda: {"prompt_tokens": 20, "cached_tokens": 4, "image_tokens": 5})

    served_model_name = "qwen3-omni"
    gracefully_exit = False
    server_status = ServerStatus.Up
    last_receive_tstamp = 0.0
    request_logger = SimpleNamespace(log_requests=False)
    server_args = None
    model_path = "demo"

    def __post_init__(self) -> None:
        self.requests: list[Any] = []
        self.closed: list[str] = []
        self.rid_to_state: dict[str, Any] = {}
        self.model_config = SimpleNamespace(
            is_multimodal=True,
            hidden_size=32,
            context_len=4096,
            hf_config=SimpleNamespace(model_type="qwen3_omni_moe", architectures=[SPEC.architecture]),
            get_default_sampling_params=lambda: {"temperature": 0.7, "top_k": 20},
        )

    def config_value(self, name: str) -> Any:
        return self.settings.get(name)

    def create_abort_task(self, request: Any) -> BackgroundTasks:
        return BackgroundTasks()

    async def generate_request(self, request: Any, raw_request: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        account = raw_request.state.account
        account.thoughts.append(thought := self._thought())
        try:
            if self.error:
                raise self.error
            n = request.sampling_params["n"]
            if not request.stream:
                await self._wait()
                thought.output_ids += [0] * n * len(self.words)
                thought.time_stats.set_first_token_time()
                thought.time_stats.set_finished_time()
                whole = [self._output(request, len(self.words), index) for index in range(n)]
                yield whole if n > 1 else whole[0]
                return
            thought.time_stats.set_first_token_time()
            for count in range(1, len(self.words) + 1):
                thought.output_ids += [0] * n
                if count == len(self.words):
                    thought.time_stats.set_finished_time()
                for index in range(n):
                    yield self._output(request, count, index)
                await asyncio.sleep(0)
                await self._wait()
                if self.late_error:
                    raise self.late_error
        finally:
            self.closed.append(request.rid)

    def _thought(self) -> Any:
        """SGLang's state of a request that was sent to the scheduler."""
        stats = APIServerReqTimeStats()
        stats.set_created_time()
        stats.set_api_server_dispatch_finish_time()
        return SimpleNamespace(output_ids=[], time_stats=stats)

    async def _wait(self) -> None:
        if self.forever:
            await asyncio.Event().wait()

    def _output(self, request: Any, count: int, index: int) -> dict[str, Any]:
        over = count == len(self.words)
        id = f"{request.rid}-{index}" if self.own_ids else request.rid
        meta = {"id": id, "finish_reason": self.finish if over else None, "completion_tokens": count}
        meta_info = {**meta, **self.usage, "weight_version": "default"}
        return {"text": "".join(self.words[:count]), "index": index, "meta_info": meta_info}


@dataclass
class FakePipeline:
    """The coordinator: every request sounds like `sound`, as two frames, and takes `times` in every stage."""

    sound: list[bytes] = field(default_factory=lambda: [b"\1\0\2\0", b"\3\0"])
    reason: str = "stop"
    error: OmniError | None = None
    late_error: OmniError | None = None
    forever: bool = False
    times: Times = field(default_factory=lambda: Times(time.time(), 0.25, 0.5, 1.0, 0.125))
    stages: dict[str, str] = field(default_factory=lambda: {"talker": "healthy", "code2wav": "healthy"})

    def __post_init__(self) -> None:
        self.spoken: list[tuple[str, dict[str, Any], list[int]]] = []
        self.stage_params: list[dict[str, dict[str, Any]]] = []
        self.priorities: list[int] = []
        self.aborted: list[str] = []
        self.states = {name: dict(IDLE) for name in self.stages}
        self.restarts = dict.fromkeys(self.stages, 0)
        self.started = False

    def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    @contextlib.contextmanager
    def listen(self, request_id: str, goes_on: bool = False) -> Iterator[Speech]:
        if self.error:
            raise self.error
        speech = Speech()
        for pcm in self.sound:
            speech.put(pcm)
        if self.late_error:
            speech.put(self.late_error)
        elif not self.forever:
            speech.put(Finish(request_id, self.reason, {"talker": 2}, dict.fromkeys(self.stages, self.times)))
        try:
            yield speech
        finally:
            if not speech.finished:
                self.aborted.append(request_id)

    def speak(
        self,
        request_id: str,
        params: dict[str, Any],
        text_ids: list[int],
        stages: dict[str, dict[str, Any]],
        priority: int = 0,
    ) -> None:
        self.spoken.append((request_id, params, text_ids))
        self.stage_params.append(stages)
        self.priorities.append(priority)

    def health(self) -> dict[str, str]:
        return self.stages

    @property
    def pcm(self) -> bytes:
        return b"".join(self.sound)


@dataclass
class Fake:
    app: FastAPI
    thinker: FakeThinker
    pipeline: FakePipeline
    requests: RunningRequests


def templates() -> Any:
    return SimpleNamespace(
        chat_template_name=None,
        python_chat_template=None,
        jinja_template_content_format="openai",
        jinja_template_may_reorder_tool_results=False,
        reasoning_config=None,
        force_reasoning=False,
    )


def make(tokenizer: Any, text_only: bool = False, pipeline: FakePipeline | None = None) -> Fake:
    publish(ServerArgs(model_path=tokenizer.name_or_path, enable_cache_report=True), role="tokenizer")
    app = FastAPI(**fastapi_telemetry_disabled_kwargs())  # as SGLang's
    thinker, pipeline = FakeThinker(tokenizer), pipeline or FakePipeline()
    spec = replace(SPEC, voices=lambda path: VOICES, longest_text=lambda path: LONGEST_TEXT)
    used: Any = None if text_only else pipeline
    client = app.state.omni = Client(spec, None, thinker, used)  # type: ignore[arg-type]
    app.state.openai_serving_chat = OmniServingChat(thinker, templates(), client=client)
    requests = RunningRequests()
    install(app, used, requests=requests)
    return Fake(app, thinker, pipeline, requests)
