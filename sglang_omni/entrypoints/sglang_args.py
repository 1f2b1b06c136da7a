"""SGLang's own arguments, parsed by SGLang's own parser."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sglang_omni import config
from sglang_omni.errors import ConfigError
from sglang_omni.models.spec import ModelSpec

if TYPE_CHECKING:
    from sglang.srt.server_args import ServerArgs


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings]


def check_known(argv: Sequence[str], known: Sequence[str]) -> None:
    """Raises ConfigError for an option that is not in `known`, naming the closest that is."""
    for argument in argv:
        name = argument.partition("=")[0]
        if not name.startswith("--") or name in known:
            continue
        close = difflib.get_close_matches(name, known, 1)
        raise ConfigError(f"unknown option {name}" + (f"; did you mean {close[0]}?" if close else ""))


def server_args(options: config.ServeOptions, spec: ModelSpec, model_path: Path) -> "ServerArgs":
    from sglang.srt.server_args import ServerArgs, prepare_server_args

    theirs = argparse.ArgumentParser(allow_abbrev=False)
    ServerArgs.add_cli_args(theirs)
    check_known(options.sglang, option_names(theirs) + option_names(config.parser()))
    result = prepare_server_args(
        [
            *("--model-path", str(model_path)),
            *("--host", options.host),
            *("--port", str(options.port)),
            *("--served-model-name", options.model_name or spec.served_name),
            *("--log-level", options.log_level),
            *("--tool-call-parser", spec.tool_call_parser),
            "--enable-cache-report",  # usage counts cached tokens
            *options.sglang,
        ]
    )
    if result.tokenizer_worker_num != 1:
        raise ConfigError("--tokenizer-worker-num must be 1: one process coordinates the stages")
    return result
