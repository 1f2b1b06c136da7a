"""SGLang's own arguments, parsed by SGLang's own parser."""

import argparse
import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sglang_omni import config, config_file
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
        close = difflib.get_close_matches(name.replace("--thinker-", "--", 1), known, 1)
        raise ConfigError(f"unknown option {name}" + (f"; did you mean {close[0]}?" if close else ""))


def without_prefix(word: str, names: Collection[str]) -> str:
    """SGLang's option in `names` that `word` calls the thinker's: `--tp-size=2` for `--thinker-tp-size=2`."""
    name, equals, value = word.partition("=")
    plain = name.replace("--thinker-", "--", 1)
    return plain + equals + value if plain in names else word


def their_parser() -> argparse.ArgumentParser:
    """SGLang's, that raises ArgumentError and needs no model."""
    from sglang.srt.server_args import ServerArgs

    result = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    ServerArgs.add_cli_args(result)
    for action in result._actions:
        action.required = False
    return result


def told(thinker: Sequence[config_file.Entry], sglang: Sequence[str]) -> tuple[list[str], dict[str, config.Setting]]:
    """The thinker's options of file and command line as arguments, and by key. Raises ConfigError for a wrong one."""
    theirs = their_parser()
    ours = option_names(config.parser())
    sglang = [without_prefix(word, set(option_names(theirs)) - set(ours)) for word in sglang]
    check_known(sglang, option_names(theirs) + ours)
    keys = [config_file.key("thinker", name) for name in option_names(theirs) if name.startswith("--")]
    arguments: list[str] = []
    settings: dict[str, config.Setting] = {}
    for entry in thinker:
        if entry.key not in keys:
            raise config_file.unknown(entry, keys)
        words, values = entry.read(theirs, entry.option)
        arguments += words
        settings.update({name: config.Setting(value, entry.where) for name, value in values.items()})
    try:
        values, rest = config_file.given(theirs, sglang)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if rest:
        raise ConfigError(f"{rest[0]!r} belongs to no option")
    settings.update({name: config.Setting(value, "command line") for name, value in values.items()})
    names = {action.dest: action.option_strings[0] for action in theirs._actions}
    by_key = {}
    for name, setting in settings.items():
        key = config_file.key("thinker", name)
        by_key[key if key in keys else config_file.key("thinker", names.get(name, name))] = setting
    return [*arguments, *sglang], by_key


def server_args(options: config.ServeOptions, spec: ModelSpec, model_path: Path) -> "ServerArgs":
    from sglang.srt.server_args import prepare_server_args

    from sglang_omni.entrypoints.tracing import check_installed

    arguments, _ = told(options.thinker, options.sglang)
    result = prepare_server_args(
        [
            *("--model-path", str(model_path)),
            *("--host", options.host),
            *("--port", str(options.port)),
            *("--served-model-name", options.model_name or spec.served_name),
            *("--log-level", options.log_level),
            *("--tool-call-parser", spec.tool_call_parser),
            "--enable-cache-report",  # usage counts cached tokens
            *arguments,
        ]
    )
    if result.tokenizer_worker_num != 1:
        raise ConfigError("--tokenizer-worker-num must be 1: one process coordinates the stages")
    if result.enable_trace:
        check_installed()
    return result
