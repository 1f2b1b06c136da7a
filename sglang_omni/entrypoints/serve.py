"""From options to a running server: look everything over, start the sidecars, start SGLang."""

import asyncio
import errno
import os
import shlex
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from sglang_omni.config import ServeOptions
from sglang_omni.entrypoints import directory
from sglang_omni.entrypoints.checkpoint import check_can_speak, locate
from sglang_omni.entrypoints.interrupt import on_interrupt
from sglang_omni.errors import StartupError
from sglang_omni.models import spec_of
from sglang_omni.models.spec import ModelSpec

if TYPE_CHECKING:  # heavy: what is wrong with the options is said before they are imported
    from sglang_omni.pipeline import Pipeline

POLL_SECONDS = 0.1
LONGEST_END = 20.0  # seconds, once no request runs


def serve(options: ServeOptions) -> int:
    """Blocks until the server is stopped. Raises StartupError for what can be known to be wrong."""
    with ExitStack() as started:
        started.callback(_kill_children)
        on_interrupt(started.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until SGLang, which drains, takes it over
        check_port(options.host, options.port)
        if options.thinker or options.sglang:
            check_sglang_options(options)
        model_path = locate(options.model_path)
        spec = spec_of(model_path)
        if not options.text_only:
            check_can_speak(model_path, spec)
        _run(options, spec, model_path, started)
    return 0


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = "; choose another --port" if error.errno == errno.EADDRINUSE else ""
            raise StartupError(f"cannot listen on {host}:{port}: {error.strerror}{hint}") from None


def check_sglang_options(options: ServeOptions) -> None:
    """Before a model is downloaded. Takes the seconds that importing SGLang takes."""
    from sglang.srt.plugins import load_plugins

    load_plugins()

    from sglang_omni.entrypoints.sglang_args import told

    told(options.thinker, options.sglang)


def _run(options: ServeOptions, spec: ModelSpec, model_path: Path, started: ExitStack) -> None:
    from sglang.srt.plugins import load_plugins

    load_plugins()

    from sglang_omni.entrypoints.sglang_args import server_args
    from sglang_omni.plugin import assert_registered
    from sglang_omni.thinker.limits import check_server_args

    args = server_args(options, spec, model_path)
    assert_registered(spec.architecture)
    if not options.text_only:
        check_server_args(args)
    directory.remove_abandoned()
    tempfile.tempdir = home = directory.make()  # SGLang makes its sockets where temporary files are
    started.callback(directory.remove, home)
    pipeline = None if options.text_only else _start_sidecars(options, spec, model_path, home, started)
    args.resolve_once()

    from sglang.srt.entrypoints.http_server import app, launch_server

    from sglang_omni.entrypoints.app import install, make_tokenizer_manager
    from sglang_omni.entrypoints.running import RunningRequests
    from sglang_omni.media import MediaPolicy
    from sglang_omni.thinker.scheduler import run_scheduler_process

    media = MediaPolicy(
        directory=options.allowed_local_media_path,
        domains=options.allowed_media_domain,
        private=options.allow_private_media,
        **options.media_limits,
    )
    requests = RunningRequests(options.request_timeout)
    install(app, pipeline, 2 * media.max_bytes, requests)
    started.callback(lambda: hasattr(app.state, "omni") and app.state.omni.thinker.stop_watching())

    async def drain() -> None:
        await requests.drain(options.shutdown_timeout)
        if pipeline is not None:
            await pipeline.stop()
            await asyncio.to_thread(pipeline.sidecars.stop)
        end = threading.Timer(LONGEST_END, _end, [started])  # of what may hang, as a client that reads nothing
        end.daemon = True
        end.start()

    launch_server(
        args,
        init_tokenizer_manager_func=make_tokenizer_manager(app, spec, model_path, pipeline, media, drain),
        run_scheduler_process_func=run_scheduler_process,
        launch_callback=partial(_announce, options, args.served_model_name, pipeline),
    )


def _start_sidecars(
    options: ServeOptions, spec: ModelSpec, model_path: Path, sockets: str, started: ExitStack
) -> "Pipeline":
    import torch

    from sglang_omni.pipeline import Pipeline
    from sglang_omni.sidecar.group import Sidecars
    from sglang_omni.sidecar.port import ENVIRONMENT

    device = "cuda" if torch.cuda.is_available() else "cpu"
    os.environ[ENVIRONMENT] = sockets
    stages = options.stages(spec, str(model_path), device)
    sidecars = Sidecars.start(spec, stages, sockets)
    started.callback(sidecars.stop)
    pipeline = Pipeline(sockets, sidecars, spec.prompt_check(stages[spec.stages[0].name]), options.max_speeches)
    threading.Thread(target=_watch_start, args=(pipeline, started), name="watch-start", daemon=True).start()
    return pipeline


def _watch_start(pipeline: "Pipeline", started: ExitStack) -> None:
    """A sidecar that ends before it was ever ready has said why; without it there is nothing to start."""
    while not pipeline.healthy:
        if dead := [name for name, code in pipeline.sidecars.dead().items() if code > 0]:  # none that was killed
            print(f"sgl-omni: the {' and the '.join(dead)} did not start", file=sys.stderr, flush=True)
            started.close()
            os._exit(1)
        time.sleep(POLL_SECONDS)


def _announce(options: ServeOptions, name: str, pipeline: "Pipeline | None") -> None:
    while pipeline is not None and not pipeline.healthy:
        time.sleep(POLL_SECONDS)
    host = "localhost" if options.host in ("0.0.0.0", "::") else options.host
    url = f"http://{host}:{options.port}"
    body = f'{{"model": "{name}", "messages": [{{"role": "user", "content": "Hello!"}}], "max_tokens": 32}}'
    print(
        f"\n{name} is ready at {url}. Try:\n\n"
        f"  curl -s {url}/v1/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(body)}\n",
        flush=True,
    )


def _end(started: ExitStack) -> None:
    started.close()
    os._exit(0)


def _kill_children() -> None:
    """All but Python's resource tracker, which ends by itself when it has removed what they shared."""
    tracker = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
    for child in psutil.Process().children(recursive=True):
        if child.pid != tracker:
            child.kill()
