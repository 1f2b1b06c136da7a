"""The config file: a page of YAML whose every key is an option of the command line.

`port: 9` is `--port 9`; `slots: 4` under `talker:` is `--talker-slots 4`; what stands under `thinker:` are SGLang's
options. A value is read by the parser that reads its option, so both have the same types, choices and limits.
"""

import argparse
import difflib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sglang_omni.errors import ConfigError

YES, NO = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True)
class Entry:
    """One value: `key` with its section's name, as `talker.slots`; a list is a tuple, a mapping its JSON."""

    key: str
    value: str | tuple[str, ...]
    where: str

    @property
    def option(self) -> str:
        """Of a key that is named as its option."""
        return f"--{self.key.rpartition('.')[2].replace('_', '-')}"

    def read(self, parser: argparse.ArgumentParser, option: str) -> tuple[list[str], dict[str, Any]]:
        """As arguments of `option`, and what `parser` makes of them. Raises ConfigError if it refuses them."""
        action = parser._option_string_actions[option]
        try:
            arguments = self._arguments(action, option)
            return arguments, given(parser, arguments)[0]
        except argparse.ArgumentError as error:
            raise ConfigError(f"{self.where}: {self.key}: {error.message}") from None

    def _arguments(self, action: argparse.Action, option: str) -> list[str]:
        values = [self.value] if isinstance(self.value, str) else list(self.value)
        if action.nargs == 0:
            text = " ".join(values).lower()
            if text not in YES + NO:
                raise argparse.ArgumentError(action, f"must be true or false, not {text!r}")
            opposite = option.replace("--", "--no-", 1)
            return [option] if text in YES else [opposite] if opposite in action.option_strings else []
        if action.nargs is not None:
            return [option, *values]
        if isinstance(self.value, tuple) and not isinstance(action, argparse._AppendAction):
            raise argparse.ArgumentError(action, f"takes one value, not a list of {len(values)}")
        return [f"{option}={value}" for value in values]


def key(section: str, option: str) -> str:
    return f"{section}.{option.removeprefix('--').replace('-', '_')}"


def given(parser: argparse.ArgumentParser, arguments: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """What `arguments` say, without defaults, by `dest`; and what `parser` does not know."""
    nothing = argparse.Namespace(**{action.dest: None for action in parser._actions})
    known, rest = parser.parse_known_args(list(arguments), nothing)
    return {key: value for key, value in vars(known).items() if value is not None}, rest


def read(path: Path, sections: Collection[str]) -> list[Entry]:
    """The file's values in order. Raises ConfigError if there is no such file, or it is no YAML of this shape."""
    try:
        loader = yaml.SafeLoader(path.read_text())
        page = loader.get_single_node()
        return list(_entries(loader, page, path, sections)) if page else []
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the config file {path} is not a text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{path}{f', line {mark.line + 1}' if mark else ''}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _entries(
    loader: yaml.SafeLoader, page: yaml.Node, path: Path, sections: Collection[str], section: str | None = None
) -> Iterator[Entry]:
    if not isinstance(page, yaml.MappingNode):
        where = f"{path}, line {page.start_mark.line + 1}"
        raise ConfigError(f"{where}: {section or 'the file'} must hold lines such as `key: value`")
    seen: dict[str, str] = {}
    for name, node in page.value:
        key = f"{section}.{name.value}" if section else str(name.value)
        where = f"{path}, line {name.start_mark.line + 1}"
        if key in seen:
            raise ConfigError(f"{where}: {key} was given before, in {seen[key]}")
        seen[key] = where
        if node.tag == "tag:yaml.org,2002:null":
            continue  # as if it were not there
        if not section and key in sections:
            yield from _entries(loader, node, path, sections, key)
        else:
            yield Entry(key, _value(loader, node), where)


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> str | tuple[str, ...]:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return tuple(item.value for item in node.value)
    return json.dumps(loader.construct_object(node, deep=True), default=str)


def unknown(entry: Entry, known: Collection[str]) -> ConfigError:
    """The error about a key that is not in `known`: one of this name elsewhere, or else the closest, is meant."""
    section, _, name = entry.key.rpartition(".")
    elsewhere = [other for other in known if other.rpartition(".")[2] == name]
    siblings = [other for other in known if other.rpartition(".")[0] == section]
    close = elsewhere or difflib.get_close_matches(entry.key, siblings) or difflib.get_close_matches(name, known)
    hint = "" if section else "; SGLang's options go under thinker"
    return ConfigError(f"{entry.where}: unknown key {entry.key}{f'; did you mean {close[0]}?' if close else hint}")
