"""How a server is started: our options, and SGLang's own arguments as they were written."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sglang_omni import config_file
from sglang_omni.config_file import Entry
from sglang_omni.errors import ConfigError
from sglang_omni.flags import MEDIA_LIMITS, parser, stage_options
from sglang_omni.models.spec import ModelSpec, StageOptions

COMMON = "device", "dtype", "slots", "threads", "log_level"  # options of every stage


@dataclass(frozen=True)
class ServeOptions:
    """What `sgl-omni serve` was told. None is "decide for me".

    `stage_settings` are by stage; `media_limits` are those of `media.MediaPolicy` that were given; SGLang's options
    are those of the config file, `thinker`, followed by those of the command line, `sglang`.
    """

    model_path: str | None
    host: str
    port: int
    model_name: str | None
    log_level: str
    text_only: bool
    request_timeout: float | None  # seconds, as the next
    shutdown_timeout: float
    max_speeches: int
    allowed_local_media_path: Path
    allowed_media_domain: tuple[str, ...]
    allow_private_media: bool
    media_limits: Mapping[str, Any]
    stage_settings: Mapping[str, Mapping[str, Any]]
    thinker: tuple[Entry, ...] = ()
    sglang: tuple[str, ...] = ()

    def stages(self, spec: ModelSpec, model_path: str, device: str) -> dict[str, StageOptions]:
        """How the sidecars of `spec` run; `device` is for those that none was asked for."""
        result = {}
        common = {"device": device, "log_level": self.log_level}
        for stage in spec.stages:
            settings = {name: value for name, value in self.stage_settings[stage.name].items() if value is not None}
            every = {name: settings.pop(name) for name in COMMON if name in settings}
            for name in settings.keys() - stage.options.keys():
                raise ConfigError(f"{spec.served_name} has no {stage.name}.{name}")
            result[stage.name] = StageOptions(model_path, **{**common, **every}, options=settings)
        return result


@dataclass(frozen=True)
class Setting:
    """One value, and where it comes from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Resolved:
    """`settings` are ours by key, as `port` and `talker.slots`; the rest is as in ServeOptions."""

    settings: Mapping[str, Setting]
    thinker: tuple[Entry, ...]
    sglang: tuple[str, ...]

    def section(self, name: str) -> dict[str, Any]:
        prefix = f"{name}."
        return {key[len(prefix) :]: s.value for key, s in self.settings.items() if key.startswith(prefix)}

    def options(self) -> ServeOptions:
        media = self.section("media")
        limits = {name: value for name in MEDIA_LIMITS if (value := media.pop(name)) is not None}
        media["allowed_media_domain"] = tuple(media["allowed_media_domain"])
        return ServeOptions(
            **{key: setting.value for key, setting in self.settings.items() if "." not in key},
            **media,
            media_limits=limits,
            stage_settings={name: self.section(name) for name in stage_options()},
            thinker=self.thinker,
            sglang=self.sglang,
        )


def sections() -> tuple[str, ...]:
    """Of the config file."""
    return "thinker", *stage_options(), "media"


def resolve(argv: Sequence[str], program: str = "sgl-omni serve") -> Resolved:
    """Defaults, then the config file, then the command line.

    Ours are checked here, SGLang's by `entrypoints.sglang_args` with SGLang's own parser.
    """
    if argv and not argv[0].startswith("-"):
        argv = ["--model-path", *argv]  # as in `sglang serve MODEL`
    ours = parser(program)
    told, sglang = config_file.given(ours, argv)
    path = told.pop("config", None)
    entries = config_file.read(path, sections()) if path else []

    ours.exit_on_error = False
    names = {action.dest: action.option_strings[0] for action in ours._actions if action.dest not in ("help", "config")}
    settings = {action.dest: default(action) for action in ours._actions if action.dest in names}
    thinker = []
    for entry in entries:
        if entry.key in names:
            _, values = entry.read(ours, names[entry.key])  # an empty list is no argument
            settings[entry.key] = Setting(values.get(entry.key, settings[entry.key].value), entry.where)
        elif entry.key.startswith("thinker.") and entry.option not in ours._option_string_actions:
            thinker.append(entry)
        else:
            raise config_file.unknown(entry, [*names, *sections()])
    settings.update({key: Setting(value, "command line") for key, value in told.items()})
    return Resolved(settings, tuple(thinker), tuple(sglang))


def default(action: argparse.Action) -> Setting:
    """What `action` is where nobody says, in the words of its help where that is "decide for me"."""
    words = re.search(r"\((default: .*)\)", action.help or "")
    return Setting(action.default, words[1] if words and action.default is None else "default")


def parse(argv: Sequence[str], program: str = "sgl-omni serve") -> ServeOptions:
    return resolve(argv, program).options()
