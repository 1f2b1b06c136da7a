"""What a model family says about itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sglang_omni.errors import ConfigError
from sglang_omni.sidecar.runner import Runner


@dataclass(frozen=True)
class StageOptions:
    """How one sidecar runs.

    `dtype` is a torch dtype's name or `auto` (`weights.stage_dtype`); `slots` is how many requests it holds at once;
    `threads` is the number of CPU threads its arithmetic uses; `log_level` is one of `config.LOG_LEVELS`; `options` are
    what the stage itself documents.
    """

    model_path: str
    device: str = "cpu"
    dtype: str = "auto"
    slots: int = 32
    threads: int = 1
    log_level: str = "info"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.slots < 1 or self.threads < 1:
            raise ConfigError(f"a stage needs a slot and a thread at least; asked for {self.slots} and {self.threads}")


@dataclass(frozen=True)
class Option:
    """An option of one stage, on the command line and in the config file: a positive number, or `many`."""

    help: str
    many: bool = False


@dataclass(frozen=True)
class Stage:
    """One sidecar: `build` loads the weights and returns its Runner, importing what it needs inside.

    `options` are those that this stage has beyond what every stage has.
    """

    name: str
    build: Callable[[StageOptions], Runner]
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A family: how SGLang runs its thinker, and which stages follow, in order; the last one makes PCM.

    `prompt_check` gives, for the options of the first stage, what raises InvalidRequest for a prompt (its token ids, of
    media as many as they take) that this stage could not speak to. `tool_call_parser` is SGLang's name for the way the
    thinker writes tool calls; `longest_text` is how many characters a checkpoint's talker speaks at once.
    """

    architecture: str
    served_name: str
    thinker: Callable[[], type]
    processor: Callable[[], type]
    stages: tuple[Stage, ...]
    sample_rate: int
    prompt_check: Callable[[StageOptions], Callable[[Sequence[int]], None]]
    tool_call_parser: str
    voices: Callable[[Path], tuple[str, ...]]
    longest_text: Callable[[Path], int]
