"""SGLang's engine with our scheduler, in the test's own process, so that a test decides what arrives when."""

import asyncio
import json
import socket
from array import array
from pathlib import Path
from typing import Any

import pytest
from sglang.srt.managers.detokenizer_manager import DetokenizerManager
from sglang.srt.managers.io_struct import BatchTokenIDOutput, GenerateReqInput, TokenizedGenerateReqInput
from sglang.srt.managers.schedule_batch import Req
from sglang.srt.plugins import load_plugins
from sglang.srt.runtime_context import SpawnRanks, publish
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.srt.server_args import PortArgs, ServerArgs

from sglang_omni.media import Video
from sglang_omni.models.qwen3_omni.processor import Qwen3OmniProcessor
from sglang_omni.sidecar.messages import Message
from sglang_omni.sidecar.port import ENVIRONMENT
from sglang_omni.thinker.scheduler import Scheduler
from tests.models.qwen3_omni.conversations import Conversation
from tests.reference import reference_processor

SPEECH = {"voice": "ethan", "seed": 7}
STAGES = {"code2wav": {"chunk_frames": [1, 4]}}


class StepByStep(Scheduler):
    """Takes one of `arrivals` before every step, and stops its loop when everything is answered."""

    arrivals: list[list[Any]]

    def ingest_requests(self, stop_at_pause: bool = False) -> list[Any]:
        idle = not self.arrivals and self.last_batch is None and self.is_fully_idle()
        arrived = self.arrivals.pop(0) if self.arrivals else []
        self.process_input_requests(arrived)
        self.gracefully_exit = idle
        return arrived

    def _create_generation_req(self, recv_req: TokenizedGenerateReqInput, *args: Any, **kwargs: Any) -> Req:
        self.reqs[recv_req.rid] = super()._create_generation_req(recv_req, *args, **kwargs)
        return self.reqs[recv_req.rid]


class Recorder:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, batch: list[Message]) -> None:
        self.messages += batch


class Transcripts(DetokenizerManager):
    """SGLang's detokenizer in this process: what a client reads of every request."""

    def init_ipc_channels(self, port_args: PortArgs, server_args: ServerArgs) -> None:
        self.texts: dict[str, str] = {}

    def send_output(self, batch: BatchTokenIDOutput) -> None:
        for id, text in zip(batch.rids, self.handle_batch_token_id_out(batch).output_strs, strict=True):
            self.texts[id] = self.texts.get(id, "") + text


class Engine:
    """`reqs` are SGLang's own records of every request, by id; `texts` is what a client reads of them; `sent` is what
    the talker was told."""

    def __init__(self, model_path: Path, sockets: Path, **arguments: Any):
        load_plugins()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ENVIRONMENT, str(sockets))
            args = ServerArgs(str(model_path), log_level="warning", port=_free_port(), **arguments)
            args.resolve_once()
            publish(args, role="scheduler", ranks=SpawnRanks(world_rank=0, gpu_id=0))
            ports = PortArgs.init_new(args)
            self.scheduler = StepByStep(args, ports)
            transcripts = Transcripts(args, ports)
        self.texts = transcripts.texts
        self.scheduler.output_streamer.send_to_detokenizer = transcripts
        self.reqs: dict[str, Req] = {}
        self.scheduler.reqs = self.reqs
        self.scheduler.forwarder.outbox = self._outbox = Recorder()
        self._processor = reference_processor(model_path)
        self.tokenizer = self._processor.tokenizer
        config = self.scheduler.model_config.hf_config
        self._media = Qwen3OmniProcessor(config, args, self._processor, "default")
        self._counter = 0

    def request(
        self, conversation: Conversation, speaks: bool = True, max_tokens: int | None = None, **sampling: Any
    ) -> TokenizedGenerateReqInput:
        """A greedy one unless `sampling` says otherwise."""
        prompt = self._processor.apply_chat_template(conversation.messages, add_generation_prompt=True, tokenize=False)
        ids = self.tokenizer.encode(prompt)
        inputs = _with_media(self._media, ids, conversation) if conversation.media else None
        params = SamplingParams(
            max_new_tokens=conversation.max_tokens if max_tokens is None else max_tokens,
            custom_params={"omni": SPEECH, "omni_stages": json.dumps(STAGES)} if speaks else None,
            **{"temperature": 0.0, **sampling},
        )
        params.normalize(self.tokenizer)
        self._counter += 1
        return TokenizedGenerateReqInput(
            rid=f"request-{self._counter}",
            input_text="",
            input_ids=array("q", ids if inputs is None else inputs.input_ids),
            input_embeds=None,
            mm_inputs=inputs,
            token_type_ids=None,
            sampling_params=params,
            return_logprob=False,
            logprob_start_len=-1,
            top_logprobs_num=0,
            token_ids_logprob=None,
            stream=True,
        )

    @property
    def sent(self) -> list[Message]:
        return self._outbox.messages

    def run(self, *steps: list[Any]) -> None:
        """Runs until everything is answered; `steps` are what arrives before each of the first steps."""
        self._outbox.messages = []
        self.scheduler.arrivals = list(steps)
        self.scheduler.run_event_loop()
        self.scheduler.gracefully_exit = False

    def flush(self) -> None:
        """Empties the prefix cache."""
        assert self.scheduler.flush_cache()


def _with_media(processor: Qwen3OmniProcessor, ids: list[int], conversation: Conversation) -> Any:
    """As the TokenizerManager does it. In a conversation's media the videos' sounds stand among the others."""
    media = conversation.media
    sounding = media.get("use_audio_in_video", False)
    images, sounds, clips = (iter(media.get(kind, ())) for kind in ("images", "audio", "videos"))
    request = GenerateReqInput(image_data=[], audio_data=[], video_data=[], use_audio_in_video=sounding)
    for part in [part["type"] for message in conversation.messages for part in message["content"]]:
        if part == "image":
            request.image_data.append(next(images))
        elif part == "audio":
            request.audio_data.append(next(sounds))
        elif part == "video":
            frames = next(clips)
            sound = next(sounds) if sounding else None
            request.video_data.append(Video(frames, list(range(len(frames))), len(frames), 1.0, sound))
    return asyncio.run(processor.process_mm_data_async(request.image_data, request.audio_data, ids, request))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
