"""The config file: what it says, where it is wrong, and how it yields to the command line."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sglang_omni import config
from sglang_omni.config import ServeOptions
from sglang_omni.entrypoints import cli, sglang_args
from sglang_omni.entrypoints.show_config import page
from sglang_omni.errors import ConfigError
from sglang_omni.media import MediaPolicy
from sglang_omni.models import spec_of
from sglang_omni.models.qwen3_omni import SPEC

DOCUMENT = Path(__file__).parents[1] / "docs" / "configuration.md"
Serve = Callable[..., ServeOptions]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "omni.yaml"


@pytest.fixture
def serve(file: Path) -> Serve:
    """`sgl-omni serve --config` with a page and further options."""

    def options(text: str, *argv: str) -> ServeOptions:
        file.write_text(text)
        return config.parse(["--config", str(file), *argv])

    return options


@pytest.fixture
def thinker(serve: Serve, tiny_model: Path):  # type: ignore[no-untyped-def]
    """SGLang's arguments from lines of the section."""

    def args(lines: str, *argv: str):  # type: ignore[no-untyped-def]
        return sglang_args.server_args(serve(f"thinker:\n{lines}", *argv), spec_of(tiny_model), tiny_model)

    return args


def test_the_documents_example_is_understood_in_full(serve: Serve, tiny_model: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    options = serve(example)
    assert (options.model_path, options.port) == ("Qwen/Qwen3-Omni-30B-A3B-Instruct", 8000)
    assert options.allowed_media_domain == ("example.com", "upload.wikimedia.org")
    stages = options.stages(SPEC, "m", "cpu")
    assert (stages["talker"].device, stages["talker"].dtype) == ("cuda:0", "bfloat16")
    assert stages["code2wav"].options == {"chunk_frames": [2, 2, 4, 8]}
    args = sglang_args.server_args(replace(options, model_path=None), spec_of(tiny_model), tiny_model)
    assert (args.tp_size, args.mem_fraction_static, args.enable_metrics) == (2, 0.7, True)

    keys = set(re.findall(r"^(?:  )?(\w+): \S", example, re.MULTILINE)) - {"thinker", "talker", "code2wav", "media"}
    assert {key.rpartition(".")[2] for key in config.resolve([]).settings} <= keys, "the example shows every key"


def test_the_documents_limits_are_the_defaults(serve: Serve) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    limits = serve(example).media_limits
    assert set(limits) == set(config.MEDIA_LIMITS)
    assert MediaPolicy(**limits) == MediaPolicy()


def test_the_helps_limits_are_the_defaults() -> None:
    units = {"": 1, " Mi": 2**20, " MiB": 2**20}
    for name, (_, text) in config.MEDIA_LIMITS.items():
        number, unit = re.search(r"default: (\d+)( MiB?|)\)", text).groups()  # type: ignore[union-attr]
        assert int(number) * units[unit] == getattr(MediaPolicy(), name)


def test_the_stages_helps_are_the_defaults() -> None:
    from sglang_omni.models.qwen3_omni.code2wav_stage import CHUNK_FRAMES
    from sglang_omni.models.qwen3_omni.talker_stage import MAX_LENGTH

    talker, code2wav = SPEC.stages
    assert f"(default: {MAX_LENGTH})" in talker.options["max_length"].help
    assert f"(default: {' '.join(map(str, CHUNK_FRAMES))})" in code2wav.options["chunk_frames"].help


def test_the_command_line_wins(serve: Serve) -> None:
    text = (
        "model_path: a\nport: 1\ntext_only: yes\ntalker: {slots: 2, threads: 3}\nmedia: {allowed_media_domain: [a, b]}"
    )
    options = serve(text)
    assert (options.model_path, options.port, options.text_only, options.host) == ("a", 1, True, "0.0.0.0")
    assert options.allowed_media_domain == ("a", "b")
    options = serve(
        text, "--model-path", "b", "--port=8000", "--no-text-only", "--talker-slots", "8", "--allowed-media-domain", "c"
    )
    assert (options.model_path, options.port, options.text_only) == ("b", 8000, False)
    assert options.allowed_media_domain == ("c",)
    talker = options.stages(SPEC, "b", "cpu")["talker"]
    assert (talker.slots, talker.threads, talker.device, talker.options) == (8, 3, "cpu", {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "port:\ntalker:\n", "media: {allowed_media_domain: []}"])
def test_what_says_nothing_changes_nothing(serve: Serve, text: str) -> None:
    assert serve(text) == config.parse([])


def test_numbers_stay_as_written(serve: Serve) -> None:
    assert serve("model_name: 007").model_name == "007"
    assert serve("model_name: 2024-05-01").model_name == "2024-05-01"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("host: a\nprot: 1", r"line 2: unknown key prot; did you mean port\?"),
        ("served_model_name: a", r"line 1: unknown key served_model_name; did you mean model_name\?"),
        ("talkr:\n  slots: 4", r"line 1: unknown key talkr; did you mean talker\?"),
        ("talker:\n  slot: 4", r"line 2: unknown key talker.slot; did you mean talker.slots\?"),
        ("talker:\n  chunk_frames: [4]", r"line 2: .*did you mean code2wav.chunk_frames\?"),
        ("allow_private_media: true", r"line 1: .*did you mean media.allow_private_media\?"),
        ("thinker:\n\n  port: 3", r"line 3: unknown key thinker.port; did you mean port\?"),
        ("mem_fraction_static: 0.5", r"line 1: unknown key mem_fraction_static; SGLang's options go under thinker"),
        ("config: other.yaml", r"line 1: unknown key config"),
        ("host: a\nport: many", r"line 2: port: must be a number from 1 to 65535, not 'many'"),
        ("port: [1, 2]", r"line 1: port: takes one value, not a list of 2"),
        ("text_only: 3", r"line 1: text_only: must be true or false, not '3'"),
        ("talker: {slots: 0}", r"line 1: talker.slots: must be an integer above 0, not '0'"),
        ("talker: {dtype: float}", r"line 1: talker.dtype: invalid choice: 'float' \(choose from 'auto'"),
        ("code2wav:\n  chunk_frames: [2, x]", r"line 2: code2wav.chunk_frames: must be an integer above 0, not 'x'"),
        ("media: {max_seconds: .inf}", r"line 1: media.max_seconds: must be a number above 0, not '.inf'"),
        ("port: 1\ntalker: 3", r"line 2: talker must hold lines such as `key: value`"),
        ("- a", r"line 1: the file must hold lines such as `key: value`"),
        ("port: 1\nhost: a\nport: 2", r"line 3: port was given before, in .*omni.yaml, line 1"),
        ("port: 1\nhost: [a", r"line 2: not YAML: "),
        ("port: 1\n\thost: a", r"line 2: not YAML: "),
        ("a: 1\n---\nb: 1", r"line 2: not YAML: "),
        ("\x07", r"not YAML: unacceptable character"),
        ("port: {a: !!python/object/apply:os.getcwd []}", r"line 1: not YAML: could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(serve: Serve, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"omni.yaml.*{sentence}") as refused:
        serve(text)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--config", str(tmp_path / "none.yaml")]) == 2
    assert re.fullmatch(
        r"sgl-omni: cannot read the config file .*none.yaml: No such file or directory\n", capsys.readouterr().err
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a text in UTF-8"):
        config.parse(["--config", str(tmp_path / "binary")])


def test_sglangs_options_go_under_thinker(thinker) -> None:  # type: ignore[no-untyped-def]
    lines = "  tensor_parallel_size: 2\n  max_running_requests: 3\n  enable_metrics: true\n  skip_tokenizer_init: off\n"
    lines += "  json_model_override_args: {a: {b: 1}}\n  log_requests_target: [stdout]\n  tool_call_parser: hermes\n"
    args = thinker(lines, "--tp-size", "1", "--tool-call-parser=qwen25")
    assert (args.tp_size, args.max_running_requests, args.tool_call_parser) == (1, 3, "qwen25")
    assert (args.enable_metrics, args.skip_tokenizer_init) == (True, False)
    assert (args.json_model_override_args, args.log_requests_target) == ('{"a": {"b": 1}}', ["stdout"])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("tp_sise: 2", r"line 2: unknown key thinker.tp_sise; did you mean thinker.tp_size\?"),
        ("tp-size: 2", r"line 2: unknown key thinker.tp-size; did you mean thinker.tp_size\?"),
        ("tp_size: two", r"line 2: thinker.tp_size: invalid int value: 'two'"),
        ("enable_metrics: 2", r"line 2: thinker.enable_metrics: must be true or false, not '2'"),
        ("tool_call_parser: my", r"line 2: thinker.tool_call_parser: invalid choice: 'my'"),
        ("tokenizer_worker_num: 2", r"--tokenizer-worker-num must be 1"),
    ],
)
def test_sglangs_parser_checks_them(thinker, line: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=sentence):
        thinker(f"  {line}")


def test_sglangs_parser_checks_the_command_line_in_a_sentence(thinker) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"--tp-size.*: invalid int value: 'two'"):
        thinker("", "--tp-size", "two")
    with pytest.raises(ConfigError, match="'more' belongs to no option"):
        thinker("", "--port", "3", "more")


def test_config_shows_where_values_come_from(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("port: 1\nhost: a\nthinker:\n  tensor_parallel_size: 2\ntalker: {max_length: 9}\n")
    assert cli.main(["config", "--config", str(file), "--port", "2", "--enable-metrics"]) == 0
    lines = [re.split(r" +# ", line) for line in capsys.readouterr().out.splitlines()]
    assert ["port: 2", "command line"] in lines
    assert ["host: a", f"{file}, line 2"] in lines
    assert ["log_level: info", "default"] in lines
    assert ["model_path: null", "default: a small built-in demo model"] in lines
    assert ["  tp_size: 2", f"{file}, line 4"] in lines
    assert ["  enable_metrics: true", "command line"] in lines
    assert ["  max_length: 9", f"{file}, line 5"] in lines
    assert cli.main(["config", "--config", str(file), "--enable-metricks"]) == 2
    assert "unknown option --enable-metricks; did you mean --enable-metrics?" in capsys.readouterr().err


def test_what_config_shows_is_a_config_file_that_means_the_same(file: Path) -> None:
    argv = ["m: #1", "--port", "2", "--text-only", "--talker-slots", "3", "--code2wav-chunk-frames", "1", "2"]
    argv += ["--allowed-media-domain", "a", "--media-max-seconds", "1.5", "--tp-size=2", "--enable-metrics"]
    argv += ["--json-model-override-args", '{"a": "#1"}', "--cuda-graph-bs-decode", "1", "2", "--api-key", "007"]
    given = config.resolve(argv)
    file.write_text(page(given))
    again = config.resolve(["--config", str(file)])
    assert replace(again.options(), thinker=()) == replace(given.options(), sglang=())
    values = [
        {key: setting.value for key, setting in sglang_args.told(resolved.thinker, resolved.sglang)[1].items()}
        for resolved in (given, again)
    ]
    assert values[0] == values[1]
    assert values[0]["thinker.api_key"] == "007"
