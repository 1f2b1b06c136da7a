"""When the thinker's process dies the server ends, as SGLang's does, and whoever restarts it begins anew.

The requests that are running hear of it first.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from sglang.srt.managers.io_struct import AbortReq
from sglang.srt.managers.tokenizer_manager import SignalHandler

from sglang_omni.errors import Unavailable

FAREWELL_SECONDS = 1.0
MESSAGE = "the thinker stopped; the server is going down"
REASON = {"type": "abort", "status_code": HTTPStatus.SERVICE_UNAVAILABLE, "message": MESSAGE}


class CrashHandler(SignalHandler):
    def running_phase_sigquit_handler(self, signum: Any = None, frame: Any = None) -> None:
        """SGLang's watchdog found that a process had died. Called on the event loop."""
        manager = self.tokenizer_manager
        for request_id in list(manager.rid_to_state):
            manager._handle_abort_req(AbortReq(rid=request_id, finished_reason=REASON))
        manager.client.fail_speech(Unavailable(MESSAGE))
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, super().running_phase_sigquit_handler, signum, frame)
