"""What routes call: the served model's facts, the thinker's health, and the way to the coordinator."""

import time
from pathlib import Path
from typing import Any

import torch
from sglang.srt.managers.tokenizer_manager import ServerStatus, TokenizerManager

from sglang_omni.entrypoints.chat_request import ChatRequest
from sglang_omni.entrypoints.metrics import Metrics
from sglang_omni.entrypoints.spoken import SpokenAnswers
from sglang_omni.entrypoints.stages import SpeechOptions, StageParams, VoiceId
from sglang_omni.errors import InvalidRequest, ModelNotFound, OmniError
from sglang_omni.models.spec import ModelSpec
from sglang_omni.pipeline import Pipeline
from sglang_omni.prompt_text import PromptText

DEFAULT_VOICE = "ethan"  # as in transformers' generate, where the checkpoint has it
MUTE = "This server was started with --text-only and cannot speak"
LOWEST_PRIORITY = -(2**63)
THINKER_STUCK_SECONDS = 60.0  # requests are running, and the thinker has said nothing for so long


class Client:
    """One served model. `pipeline` is None for a server that was started with `--text-only`."""

    def __init__(
        self, spec: ModelSpec, model_path: Path, tokenizer_manager: TokenizerManager, pipeline: Pipeline | None
    ):
        self.spec = spec
        self.thinker = tokenizer_manager
        self.voices = spec.voices(model_path)
        self.longest_text = spec.longest_text(model_path)
        self.prompt_text = PromptText(tokenizer_manager.tokenizer)
        self.spoken = SpokenAnswers()
        self.metrics = Metrics()
        self._pipeline = pipeline

    # The model

    @property
    def model(self) -> str:
        return self.thinker.served_model_name

    def check_model(self, name: str | None) -> str:
        """The name to answer with. An adapter follows a colon, as in SGLang. Raises ModelNotFound."""
        if name is None:
            return self.model
        if name != self.model and not name.startswith(f"{self.model}:"):
            raise ModelNotFound(f"The model {name!r} does not exist; this server serves {self.model!r}", param="model")
        return name

    # Speech

    @property
    def pipeline(self) -> Pipeline:
        if self._pipeline is None:
            raise InvalidRequest(MUTE)
        return self._pipeline

    def listens_to(self, request_id: str) -> bool:
        """Whether somebody waits for the sound of a request."""
        return self._pipeline is not None and self._pipeline.listens_to(request_id)

    def abort_speech(self, request_id: str | None) -> None:
        """Of a request, or of every one."""
        if self._pipeline is not None:
            self._pipeline.give_up(request_id)

    def fail_speech(self, error: OmniError) -> None:
        """Of every request."""
        if self._pipeline is not None:
            self._pipeline.fail_all(error)

    def voice(self, asked: str | VoiceId | None, param: str) -> str:
        """A known voice, asked for in any case. Raises InvalidRequest naming the known ones, or without speech."""
        name = asked.id if isinstance(asked, VoiceId) else asked
        if self._pipeline is None:
            raise InvalidRequest(MUTE)
        if name is None or name.lower() == "default":
            return DEFAULT_VOICE if DEFAULT_VOICE in self.voices else self.voices[0]
        for known in self.voices:
            if known.lower() == name.lower():
                return known
        raise InvalidRequest(f"{param} {name!r} is not one of default, {', '.join(self.voices)}", param=param)

    def priority(self, asked: int | None) -> int:
        """Of a request that SGLang does not see, as it would see it; the higher, the sooner. Raises InvalidRequest."""
        setting = self.thinker.config_value
        if not setting("enable_priority_scheduling"):
            if asked is not None:
                raise InvalidRequest(
                    "priority acts only on a server that was started with --enable-priority-scheduling",
                    param="priority",
                )
            return 0
        priority = setting("default_priority_value") if asked is None else asked
        if priority is None:
            return LOWEST_PRIORITY
        return -priority if setting("schedule_low_priority_values_first") else priority

    def chat_speech(self, request: ChatRequest) -> SpeechOptions:
        """How the answer to `request` is spoken. Temperature 0 makes the talker greedy too, unless it has its own."""
        greedy = 0.0 if request.temperature == 0 else None
        asked = request.audio.voice if request.audio else None
        return SpeechOptions.make(
            self.voice(staged_voice(request.stage_params) or asked, "audio.voice"),
            request.stage_sampling,
            request.stage_params,
            seed=request.seed,
            temperature=request.talker_temperature if request.talker_temperature is not None else greedy,
            top_k=request.talker_top_k,
            top_p=request.talker_top_p,
            repetition_penalty=request.talker_repetition_penalty,
            max_frames=request.talker_max_new_tokens,
        )

    def speech_prompt(self, instructions: str | None) -> list[int]:
        """A prompt that ends where the assistant's words begin: the model never speaks but after a user's turn.

        The turn holds the `instructions`, or nothing.
        """
        return self.prompt_text.render([{"role": "user", "content": instructions or ""}], add_generation_prompt=True)

    def speech_params(self, prompt: list[int], options: SpeechOptions) -> dict[str, Any]:
        """What the talker's runner is told to start with, for a prompt without media that no thinker has read."""
        return {
            "prompt_ids": torch.tensor(prompt),
            "positions": torch.arange(len(prompt)).expand(3, -1).contiguous(),
            "media_rows": torch.empty(0, self.thinker.model_config.hidden_size),
            "speech": options.params(),
        }

    # Health

    def health(self) -> dict[str, str]:
        """Stage name -> `healthy`, `starting`, `stuck` or `dead`. Reads what is known; asks nobody."""
        stages = self._pipeline.health() if self._pipeline else {}
        return {"thinker": self._thinker_health(), **stages}

    def slots(self) -> dict[str, dict[str, int]]:
        """What each sidecar held at its last heartbeat, as its scheduler counts it."""
        return self._pipeline.states if self._pipeline else {}

    def restarts(self) -> dict[str, int]:
        """How often each sidecar was started again."""
        return self._pipeline.restarts if self._pipeline else {}

    def _thinker_health(self) -> str:
        thinker = self.thinker
        if thinker.gracefully_exit:
            return "stopping"
        if thinker.server_status == ServerStatus.Starting:
            return "starting"
        # Requests are timed by the performance counter, what arrives from the scheduler by the clock on the wall.
        waiting = [time.perf_counter() - state.time_stats.created_time for state in self._dispatched()]
        silence = time.time() - thinker.last_receive_tstamp
        return "stuck" if waiting and min(silence, max(waiting)) > THINKER_STUCK_SECONDS else "healthy"

    def _dispatched(self) -> list[Any]:
        return [state for state in self.thinker.rid_to_state.values() if state.dispatched]


def staged_voice(params: StageParams | None) -> str | VoiceId | None:
    return params.talker.voice if params and params.talker else None
