"""The command line: quick answers for what can be known at once, without importing SGLang."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sglang_omni import config
from sglang_omni.entrypoints import cli, sglang_args
from sglang_omni.entrypoints.checkpoint import check_can_speak, locate
from sglang_omni.entrypoints.serve import check_port
from sglang_omni.errors import CheckpointError, ConfigError, StartupError
from sglang_omni.models import spec_of
from sglang_omni.models.qwen3_omni import SPEC


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "sglang_omni.entrypoints.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def checkpoint(directory: Path, model: Path, *tensors: str) -> Path:
    """A directory like a checkpoint of `model`'s family that holds `tensors`, by its index."""
    directory.mkdir()
    shutil.copy(model / "config.json", directory)
    index = {"weight_map": dict.fromkeys(tensors, "model.safetensors")}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def test_help_is_a_page_with_our_options_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "--help"])
    assert ended.value.code == 0
    page = capsys.readouterr().out
    assert page.index("--config FILE") < page.index("--tp-size") < page.index("--talker-device")
    assert len(page.splitlines()) < 92
    assert max(map(len, page.splitlines())) <= 90
    for title in "options", "thinker", "talker", "code2wav", "pictures, sounds and videos in requests":
        assert f"\n{title}:\n" in page


def test_the_options_of_sglang_that_help_shows_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    page = capsys.readouterr().out
    shown = re.findall(r"^    (--[a-z-]+)", page[page.index("\nthinker:") : page.index("\ntalker:")], re.MULTILINE)
    assert len(shown) > 5
    assert set(shown) <= set(sglang_args.option_names(sglang_args.their_parser()))


def test_help_does_not_import_sglang_or_torch() -> None:
    code = (
        "import sys; from sglang_omni.entrypoints import cli\n"
        "try: cli.main(['serve', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'sglang', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    assert "demo-model DIR" in capsys.readouterr().out


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["srve"]) == 2
    assert "unknown command 'srve'" in capsys.readouterr().err


def test_defaults_and_what_is_passed_on() -> None:
    options = config.parse(["--model-path", "m", "--port", "9", "--tp-size", "2", "--text-only", "--stream-interval=3"])
    assert (options.host, options.port, options.model_name, options.text_only) == ("0.0.0.0", 9, None, True)
    assert options.sglang == ("--tp-size", "2", "--stream-interval=3")
    assert config.parse(["some/model"]).model_path == "some/model"
    stages = config.parse(["--talker-device", "cuda:1", "--talker-slots", "3"]).stages(spec(), "m", "cpu")
    assert (stages["talker"].device, stages["talker"].slots) == ("cuda:1", 3)
    assert (stages["code2wav"].device, stages["code2wav"].slots) == ("cpu", 32)


def spec():  # type: ignore[no-untyped-def]
    from sglang_omni.models.qwen3_omni import SPEC

    return SPEC


def test_an_unknown_option_is_named_with_the_closest() -> None:
    known = ["--mem-fraction-static", "--model-path", "--port"]
    with pytest.raises(ConfigError, match=r"unknown option --mem-fraction; did you mean --mem-fraction-static\?"):
        sglang_args.check_known(["--mem-fraction", "0.5"], known)
    sglang_args.check_known(["--port=3", "-1", "value", "--model-path", "m"], known)


def test_sglangs_options_are_known_and_reach_it(tiny_model: Path) -> None:
    options = config.parse(["--max-running-requests", "3", "--port", "8131", "--tool-call-parser", "hermes"])
    args = sglang_args.server_args(options, spec_of(tiny_model), tiny_model)
    assert (args.max_running_requests, args.port, args.served_model_name) == (3, 8131, "qwen3-omni")
    assert args.tool_call_parser == "hermes"
    with pytest.raises(ConfigError, match="did you mean --max-running-requests"):
        sglang_args.server_args(config.parse(["--max-runing-requests", "3"]), spec_of(tiny_model), tiny_model)


def test_the_thinkers_options_may_be_called_so(tiny_model: Path) -> None:
    options = config.parse(["--thinker-max-running-requests", "3", "--thinker-enable-metrics", "--thinker-tp-size=1"])
    args = sglang_args.server_args(options, spec_of(tiny_model), tiny_model)
    assert (args.max_running_requests, args.enable_metrics, args.tp_size) == (3, True, 1)


@pytest.mark.parametrize(
    ("option", "meant"),
    [("--thinker-tp-sise", "--tp-size"), ("--thinker-port", "--port"), ("--talker-devise", "--talker-device")],
)
def test_an_option_like_a_stages(option: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown option {option}; did you mean {meant}?"):
        sglang_args.told((), [option, "2"])


def test_a_wrong_option_is_said_before_a_model_is_looked_for() -> None:
    ended = run("serve", "--model-path", "no/such-model", "--max-runing-requests", "3", "--port", str(free_port()))
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        "sgl-omni: unknown option --max-runing-requests; did you mean --max-running-requests?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "--port: must be a number from 1 to 65535, not '70000'"),
        (["--port", "0"], "--port: must be a number from 1 to 65535, not '0'"),
        (["--log-level", "loud"], "--log-level: invalid choice: 'loud'"),
        (["--talker-slots", "none"], "--talker-slots: must be an integer above 0, not 'none'"),
    ],
)
def test_wrong_values(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", *arguments])
    assert sentence in capsys.readouterr().err


def test_a_stage_has_a_log_level_of_its_own() -> None:
    options = config.parse(["--log-level", "warning", "--talker-log-level", "DEBUG"])
    stages = options.stages(SPEC, "model", "cpu")
    assert {name: stage.log_level for name, stage in stages.items()} == {"talker": "debug", "code2wav": "warning"}


def test_a_log_level_in_any_case(tiny_model: Path) -> None:
    options = config.parse(["--log-level", "WARNING"])
    assert options.log_level == "warning"
    assert sglang_args.server_args(options, spec_of(tiny_model), tiny_model).log_level == "warning"


def test_a_host_that_is_none() -> None:
    with pytest.raises(StartupError, match=r"cannot listen on no\.such\.host:\d+: [^;]*$"):
        check_port("no.such.host", free_port())


def test_a_busy_port() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            check_port("127.0.0.1", port)
        ended = run("serve", "--port", str(port), "--host", "127.0.0.1")
    assert ended.returncode == 1
    assert f"{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_model_that_is_not_there() -> None:
    ended = run("serve", "--model-path", "no/such-model", "--port", str(free_port()))
    assert ended.returncode == 1
    assert "no/such-model is no directory, and no model that could be downloaded" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_directory_that_is_no_model(tmp_path: Path) -> None:
    ended = run("serve", "--model-path", str(tmp_path), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "holds no config.json" in ended.stderr


def test_a_checkpoint_that_cannot_speak(tiny_model: Path, tmp_path: Path) -> None:
    silent = checkpoint(tmp_path / "silent", tiny_model, "thinker.model.embed_tokens.weight", "code2wav.x")
    with pytest.raises(CheckpointError, match=r"lacks the tensors talker\.\*, so it cannot speak.*--text-only"):
        check_can_speak(silent, spec_of(silent))
    check_can_speak(checkpoint(tmp_path / "speaks", tiny_model, "talker.x", "code2wav.x"), spec_of(tiny_model))
    check_can_speak(tiny_model, spec_of(tiny_model))
    ended = run("serve", "--model-path", str(silent), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "talker.*" in ended.stderr


def test_the_trained_model_is_served_by_default_where_it_is_and_else_a_random_one(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sglang_omni.models.qwen3_omni import demo

    monkeypatch.setattr(demo, "trained_model", lambda: None)
    monkeypatch.setattr(demo, "cached_demo_model", lambda: tiny_model)
    assert locate(None) == tiny_model
    monkeypatch.setattr(demo, "trained_model", lambda: tiny_model.parent)
    assert locate(None) == tiny_model.parent


def test_writing_the_demo_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo-model", str(tmp_path / "m"), "--size", "tiny", "--seed", "3"]) == 0
    assert spec_of(tmp_path / "m").served_name == "qwen3-omni"
    assert f"--model-path {tmp_path / 'm'}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["demo-model", str(tmp_path / "m")])
    assert "is not empty" in capsys.readouterr().err


class TestBackend:
    """`sglang serve`"""

    def detect(self, model: str | None) -> str:
        from sglang.cli.serve_backends import ServeRequest

        from sglang_omni.entrypoints.backend import backend

        detect = backend().detect
        assert detect is not None
        return detect(ServeRequest(argv=(), model_path=model)).value

    def test_it_finds_its_own_models_alone(self, tiny_model: Path, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
        assert self.detect(str(tiny_model)) == "match"
        assert self.detect(str(tmp_path)) == "no_match"
        assert self.detect(str(tmp_path / "none")) == "unknown"
        assert self.detect(None) == "unknown"

    def test_it_is_registered(self) -> None:
        from sglang.cli.serve_backends import ServeBackendRegistry

        assert "omni" in ServeBackendRegistry({}).available_names
        assert ServeBackendRegistry({}).get("omni").name == "omni"
