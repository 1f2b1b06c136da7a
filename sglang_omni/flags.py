"""The options of `sgl-omni serve`, as its help shows them; SGLang's own are passed on."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

from sglang_omni.models import families
from sglang_omni.models.spec import Option, StageOptions

LOG_LEVELS = "debug", "info", "warning", "error", "critical"
THINKER = """\
    Every option of SGLang's server, as it is or as --thinker-...; all are listed
    by `sglang serve --model-type llm --help`. Among them:
      --device DEVICE             cuda, cpu, ... (default: what there is)
      --base-gpu-id N             the first GPU it runs on
      --tp-size N                 how many GPUs it is spread over
      --mem-fraction-static F     share of a GPU's memory for its weights and KV cache
      --max-running-requests N    requests served at once
      --context-length N          longest prompt and answer together
      --dtype DTYPE               auto, bfloat16, float32, ...
      --api-key KEY               ask clients for a key
      --enable-metrics            SGLang's metrics under /metrics too"""
DTYPES = "auto", "float32", "bfloat16", "float16"
MEDIA_LIMITS = {
    "max_bytes": (int, "bytes of one file (default: 256 MiB)"),
    "max_pixels": (int, "pixels of a picture or a frame (default: 64 Mi)"),
    "max_total_pixels": (int, "pixels in one request (default: 512 Mi)"),
    "max_seconds": (float, "of a video, or a request's sounds (default: 2400)"),
    "fetch_seconds": (float, "time for one download (default: 30)"),
    "decode_seconds": (float, "time for decoding one file (default: 60)"),
    "decode_bytes": (int, "memory for decoding one file (default: 4096 MiB)"),
}


def stage_options() -> dict[str, dict[str, Option]]:
    """Every known family's stages, in order, and the options that they alone have."""
    result: dict[str, dict[str, Option]] = {}
    for spec in families().values():
        for stage in spec.stages:
            result.setdefault(stage.name, {}).update(stage.options)
    return result


def positive(number: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads an int or a float above zero."""

    def read(text: str) -> Any:
        try:
            value = number(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            kind = "an integer" if number is int else "a number"
            raise argparse.ArgumentTypeError(f"must be {kind} above 0, not {text!r}")
        return value

    return read


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 65535, not {text!r}")
    return int(text)


def parser(program: str = "sgl-omni serve") -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [--model-path MODEL] [--config FILE] [options] [SGLang's options]",
        description="Serve a model that hears, sees and speaks behind one OpenAI-compatible server.",
        epilog="docs/configuration.md tells more, and `sgl-omni config` shows what a server would go by.",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
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
    add("--port", type=port, default=8000, help="port to listen on (default: %(default)s)")
    add(
        "--model-name",
        "--served-model-name",
        metavar="NAME",
        help="the name in /v1/models and in requests (default: the family's, such as qwen3-omni)",
    )
    add(
        "--log-level",
        type=str.lower,
        choices=LOG_LEVELS,
        default="info",
        metavar="LEVEL",
        help=f"{', '.join(LOG_LEVELS)}; of every process (default: %(default)s)",
    )
    add(
        "--text-only",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="answer with text alone; load neither talker nor code2wav",
    )
    add(
        "--request-timeout",
        type=positive(float),
        metavar="S",
        help="seconds that a request may take (default: no limit)",
    )
    add(
        "--shutdown-timeout",
        type=positive(float),
        default=30.0,
        metavar="S",
        help="seconds that SIGTERM waits for requests (default: %(default)g)",
    )
    add(
        "--max-speeches",
        type=positive(int),
        default=1024,
        metavar="N",
        help="spoken answers at once, waiting ones included; more get a 429 (default: %(default)s)",
    )
    add("--config", type=Path, metavar="FILE", help="read options from a page of YAML; those written here win over it")

    result.add_argument_group("thinker", dedent(THINKER))
    for stage, options in stage_options().items():
        _add_stage(result.add_argument_group(stage), stage, options)

    media = result.add_argument_group("pictures, sounds and videos in requests")
    media.add_argument(
        "--allowed-local-media-path",
        dest="media.allowed_local_media_path",
        type=Path,
        default=Path.cwd(),
        metavar="DIR",
        help="local files must lie in DIR (default: the working directory)",
    )
    media.add_argument(
        "--allowed-media-domain",
        dest="media.allowed_media_domain",
        action="append",
        default=[],
        metavar="DOMAIN",
        help="fetch URLs from this domain alone; may be repeated (default: every public address)",
    )
    media.add_argument(
        "--allow-private-media",
        dest="media.allow_private_media",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="fetch URLs from private addresses too",
    )
    for name, (number, text) in MEDIA_LIMITS.items():
        option = f"--media-{name.replace('_', '-')}"
        media.add_argument(option, dest=f"media.{name}", type=positive(number), metavar="N", help=text)
    return result


def _add_stage(group: argparse._ArgumentGroup, stage: str, options: Mapping[str, Option]) -> None:
    def add(name: str, help: str, **settings: Any) -> None:
        group.add_argument(f"--{stage}-{name.replace('_', '-')}", dest=f"{stage}.{name}", help=help, **settings)

    whole = positive(int)
    every = StageOptions
    add("device", "where it runs, such as cuda:1 (default: cuda if there is any, else cpu)", metavar="DEVICE")
    add(
        "dtype",
        f"{', '.join(DTYPES)} (default: %(default)s, the checkpoint's own, or float32 on a CPU)",
        choices=DTYPES,
        default=every.dtype,
        metavar="DTYPE",
    )
    add(
        "slots",
        "requests served at once, each with memory of its own (default: %(default)s)",
        type=whole,
        default=every.slots,
        metavar="N",
    )
    add("threads", "CPU threads (default: %(default)s)", type=whole, default=every.threads, metavar="N")
    add(
        "log_level",
        "of this stage alone (default: that of --log-level)",
        type=str.lower,
        choices=LOG_LEVELS,
        metavar="LVL",
    )
    for name, option in options.items():
        add(name, option.help, type=whole, metavar="N", nargs="+" if option.many else None)
