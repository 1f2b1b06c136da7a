"""SGLang's scheduler, telling the talker what the thinker reads and says."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from sglang.srt.managers import scheduler
from sglang.srt.managers.io_struct import AbortReq, TokenizedGenerateReqInput
from sglang.srt.managers.schedule_batch import Req, ScheduleBatch
from sglang.srt.managers.scheduler_components.output_streamer import SchedulerOutputStreamer
from sglang.srt.runtime_context import get_parallel
from sglang.srt.sampling.sampling_params import SamplingParams
from torch import Tensor

from sglang_omni.kernels.choice import compiles
from sglang_omni.models import families
from sglang_omni.plugin import assert_registered, register_sampler
from sglang_omni.sidecar import ready
from sglang_omni.sidecar.port import ENVIRONMENT, Outbox
from sglang_omni.thinker.forwarder import Forwarder
from sglang_omni.thinker.searches import OmniReq
from sglang_omni.thinker.seeds import seeded
from sglang_omni.thinker.tap import Tap

TALKER = "talker"


@dataclass(kw_only=True, slots=True)
class OutputStreamer(SchedulerOutputStreamer):
    """Forwards committed tokens before it streams text: every step, whatever the stream interval."""

    forwarder: Forwarder | None = None

    def stream_output(self, reqs: list[Req], return_logprob: bool, skip_req: Req | None = None) -> None:
        if self.forwarder is not None:
            self.forwarder.committed(reqs)
        SchedulerOutputStreamer.stream_output(self, reqs, return_logprob, skip_req)


class Scheduler(scheduler.Scheduler):
    """With the sockets' directory in the environment it forwards; without it, it is SGLang's."""

    forwarder: Forwarder | None = None

    def init_model_config(self) -> None:
        super().init_model_config()
        assert_registered(self.model_config.hf_config.architectures[0])
        register_sampler()

    def init_memory_pools(self) -> None:
        directory, runner = os.environ.get(ENVIRONMENT), self.tp_worker.model_runner
        if directory is not None and str(runner.device) != "cpu":
            architecture = self.model_config.hf_config.architectures[0]
            ready.wait(directory, [stage.name for stage in families()[architecture].stages])
        super().init_memory_pools()
        if compiles(torch.device(runner.device), runner.dtype):
            from sglang_omni.thinker.compiled_decode import compile_decode

            compile_decode(runner, self.server_args)
        if directory is None:
            return
        pool = runner.token_to_kv_pool
        tap = Tap(pool.size + pool.page_size, runner.model.hidden_size, runner.dtype, runner.device)
        tap.attach(runner.model.accept_layer)  # on every rank: a layer that is listened to communicates differently
        if get_parallel().attn_tp_rank == 0:
            outbox = Outbox(directory, TALKER)
            ids = runner.model.media_token_ids
            self.forwarder = Forwarder(outbox, tap, ids, self._prompt_slots, self._priority)

    def _prompt_slots(self, req: Req) -> Tensor:
        return self.req_to_token_pool.req_to_token[req.kv.req_pool_idx, : len(req.origin_input_ids)]

    def _priority(self, req: Req) -> int:
        """The higher, the sooner."""
        if not self.enable_priority_scheduling or req.priority is None:
            return 0
        return -req.priority if self.schedule_low_priority_values_first else req.priority

    def init_output_streamer(self) -> None:
        super().init_output_streamer()
        self.output_streamer.forwarder = self.forwarder

    def get_output_streamer_class(self) -> type[SchedulerOutputStreamer]:
        return OutputStreamer

    def _create_generation_req(self, recv_req: TokenizedGenerateReqInput, *args: Any, **kwargs: Any) -> Req:
        find_every_stop(recv_req.sampling_params)
        return OmniReq(*args, **kwargs)

    def run_batch(self, batch: ScheduleBatch, pp_proxy_tensors: Any = None) -> Any:
        with seeded(batch):
            result = super().run_batch(batch, pp_proxy_tensors)
        if self.forwarder is not None and batch.forward_mode.is_extend():
            with self.forward_stream_ctx if self.enable_overlap else nullcontext():
                self.forwarder.prefilled(batch.reqs)
        return result

    def send_abort_output(self, abort_req: AbortReq, req: Req) -> None:
        if self.forwarder is not None:
            self.forwarder.aborted(req.rid)
        super().send_abort_output(abort_req, req)


def find_every_stop(params: SamplingParams) -> None:
    """SGLang looks for a stop string among as many last tokens as encode it; an answer may spell it with more."""
    params.stop_str_max_len = max((len(stop.encode()) for stop in params.stop_strs or ()), default=0)


def run_scheduler_process(*args: Any, **kwargs: Any) -> None:
    """For `launch_server(run_scheduler_process_func=...)`: SGLang's scheduler process with our scheduler.

    The process names its class by a name in SGLang's module; setting it is the only way in, and happens only here.
    """
    scheduler.Scheduler = Scheduler
    scheduler.run_scheduler_process(*args, **kwargs)
