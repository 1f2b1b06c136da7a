"""How a server is started: our options, and SGLang's own arguments as they were written."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from sglang_omni.errors import ConfigError
from sglang_omni.models.spec import ModelSpec, StageOptions


@dataclass(frozen=True)
class ServeOptions:
    """What `sgl-omni serve` was told. None is "decide for me"."""

    model_path: str | None
    host: str
    port: int
    model_name: str | None
    log_level: str
    text_only: bool
    talker_device: str | None
    talker_slots: int
    code2wav_device: str | None
    code2wav_slots: int
    sidecar_threads: int
    allowed_local_media_path: Path
    allowed_media_domain: tuple[str, ...]
    allow_private_media: bool
    sglang: tuple[str, ...] = ()

    def stage(self, name: str, model_path: str, device: str) -> StageOptions:
        """How the sidecar `name` runs; `device` is for when none was asked for."""
        return StageOptions(
            model_path=model_path,
            device=getattr(self, f"{name}_device", None) or device,
            slots=getattr(self, f"{name}_slots", StageOptions.slots),
            threads=self.sidecar_threads,
        )

    def stages(self, spec: ModelSpec, model_path: str, device: str) -> dict[str, StageOptions]:
        return {stage.name: self.stage(stage.name, model_path, device) for stage in spec.stages}


def parser(program: str = "sgl-omni serve") -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [--model-path MODEL] [--port PORT] [options] [SGLang's options]",
        description="Serve a model that hears, sees and speaks behind one OpenAI-compatible server.",
        epilog=dedent("""\
            Every option of SGLang's server works here too, for example:
              --tp-size N                 spread the thinker over N GPUs
              --mem-fraction-static F     GPU memory for the thinker's weights and KV cache
              --context-length N          longest prompt and answer together
              --dtype float32             arithmetic of the thinker
              --api-key KEY               ask clients for a key
              --enable-metrics            Prometheus metrics under /metrics
              --tool-call-parser NAME     understand tool calls
            `sglang serve --model-type llm --help` lists them all.
            """),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = result.add_argument
    add(
        "--model-path",
        "--model",
        metavar="MODEL",
        help="a directory, or a model id of Hugging Face (default: a small built-in demo model)",
    )
    add("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    add(
        "--model-name",
        "--served-model-name",
        metavar="NAME",
        help="the name in /v1/models and in requests (default: the family's, such as qwen3-omni)",
    )
    add("--log-level", default="info", metavar="LEVEL", help="debug, info, warning or error (default: %(default)s)")
    add("--text-only", action="store_true", help="answer with text alone; load neither talker nor code2wav")

    speech = result.add_argument_group("speech")
    for stage in ("talker", "code2wav"):
        speech.add_argument(
            f"--{stage}-device",
            metavar="DEVICE",
            help=f"where the {stage} runs, such as cuda:1 (default: cuda if there is any, else cpu)",
        )
        speech.add_argument(
            f"--{stage}-slots",
            type=int,
            default=StageOptions.slots,
            metavar="N",
            help=f"requests that the {stage} serves at once (default: %(default)s)",
        )
    speech.add_argument(
        "--sidecar-threads", type=int, default=1, metavar="N", help="CPU threads of each (default: %(default)s)"
    )

    media = result.add_argument_group("pictures, sounds and videos in requests")
    media.add_argument(
        "--allowed-local-media-path",
        type=Path,
        default=Path.cwd(),
        metavar="DIR",
        help="local files must lie in DIR (default: the working directory)",
    )
    media.add_argument(
        "--allowed-media-domain",
        action="append",
        default=[],
        metavar="DOMAIN",
        help="fetch URLs from this domain alone; may be repeated (default: every public address)",
    )
    media.add_argument("--allow-private-media", action="store_true", help="fetch URLs from private addresses too")
    return result


def parse(argv: Sequence[str], program: str = "sgl-omni serve") -> ServeOptions:
    """Ours are checked here; the rest is SGLang's, and checked by `serve` with SGLang's own parser."""
    if argv and not argv[0].startswith("-"):
        argv = ["--model-path", *argv]  # as in `sglang serve MODEL`
    known, rest = parser(program).parse_known_args(argv)
    if any(argument.split("=")[0] == "--config" for argument in rest):
        raise ConfigError("--config is not supported yet: write the options on the command line")
    options = vars(known)
    options["allowed_media_domain"] = tuple(options["allowed_media_domain"])
    return ServeOptions(**options, sglang=tuple(rest))
