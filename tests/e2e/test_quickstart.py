"""The API server quickstart: its commands, run by the shell as printed, and what it says about the answers."""

import base64
import functools
import http.server
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.e2e.questions import COUNTING, PHOTOGRAPH, VIDEO
from tests.e2e.server import ROOT, Server, wait_until_gone

PAGE = (ROOT / "tests" / "data" / "quickstart.md").read_text()
TITLES = re.findall(r"^## (.*)", PAGE, re.MULTILINE)
COMMANDS = dict(zip(TITLES, re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL), strict=True))
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def curl(server: Server, command: str, directory: Path) -> Answer:
    """What a command of the page answers, at `server` and about our video."""
    assert "localhost:8000" in command
    command = command.replace("localhost:8000", f"localhost:{server.port}")
    command = command.replace("/absolute/path/to/demo.mp4", str(VIDEO)).rstrip() + " -D headers"
    done = subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    head = (directory / "headers").read_text()
    status = int(re.findall(r"^HTTP/\S+ (\d+)", head, re.MULTILINE)[-1])
    (kind,) = re.findall(r"^content-type: (.*?)\s*$", head, re.MULTILINE | re.IGNORECASE)
    return Answer(status, kind, done.stdout)


def ask(server: Server, directory: Path, path: str = "/v1/chat/completions", **fields: Any) -> Answer:
    """A command in the page's manner, with other fields."""
    body = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8, **fields}
    if path != "/v1/chat/completions":
        body = fields
    kind = "-H 'Content-Type: application/json'"
    return curl(server, f"curl -s http://localhost:8000{path} {kind} -d {shlex.quote(json.dumps(body))}", directory)


class TestCommands:
    def test_health(self, server: Server, tmp_path: Path):
        answer = curl(server, COMMANDS["Health check"], tmp_path)
        (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
        assert answer.status == 200
        assert json.loads(example).items() <= answer.json.items()

    def test_one_model_is_listed_under_the_name_that_the_commands_use(self, server: Server, tmp_path: Path):
        answer = curl(server, COMMANDS["List the served model"], tmp_path)
        assert (answer.status, answer.json["object"]) == (200, "list")
        assert [model["id"] for model in answer.json["data"]] == ["qwen3-omni"]

    @pytest.mark.parametrize("title", ["Send a minimal chat request", "Video request"])
    def test_a_chat(self, server: Server, tmp_path: Path, title: str):
        answer = curl(server, COMMANDS[title], tmp_path)
        assert (answer.status, answer.json["object"]) == (200, "chat.completion")
        assert isinstance(answer.json["choices"][0]["message"]["content"], str)
        usage = answer.json["usage"]
        assert 1 <= usage["completion_tokens"] <= 128
        assert (usage["prompt_tokens_details"]["video_tokens"] > 100) == (title == "Video request")

    def test_streaming(self, server: Server, tmp_path: Path):
        answer = curl(server, COMMANDS["Streaming"], tmp_path)
        assert (answer.status, answer.type.partition(";")[0]) == (200, "text/event-stream")
        *events, done, rest = answer.body.decode().split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        first, *_, last = chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        said = {name: value for name, value in first["choices"][0]["delta"].items() if value}
        assert said == {"role": "assistant"}
        assert last["choices"][0]["finish_reason"] in ("stop", "length")
        assert [chunk for chunk in chunks if chunk.get("usage")] == [last]

    def test_text_to_speech(self, server: Server, tmp_path: Path):
        answer = curl(server, COMMANDS["Text-to-speech"], tmp_path)
        assert (answer.status, answer.type, answer.body) == (200, "audio/wav", b"")
        assert soundfile.info(tmp_path / "speech.wav").format == "WAV"


class TestFields:
    def test_the_most_useful_ones(self, server: Server, tmp_path: Path):
        fields: dict[str, Any] = {"temperature": 0.9, "top_p": 0.9, "seed": 5, "max_tokens": 24}
        text = ask(server, tmp_path, **fields).json["choices"][0]["message"]["content"]
        again = ask(server, tmp_path, **fields, stop=[text[20:26]]).json["choices"][0]
        assert again["message"]["content"] == text[: text.index(text[20:26])]
        assert again["finish_reason"] == "stop"

    @pytest.mark.parametrize(("field", "path"), [("images", PHOTOGRAPH), ("audios", COUNTING), ("videos", VIDEO)])
    def test_media_by_local_path(self, server: Server, tmp_path: Path, field: str, path: Path):
        answer = ask(server, tmp_path, **{field: [str(path)]}, modalities=["text"])
        assert answer.json["usage"]["prompt_tokens_details"][f"{field[:-1]}_tokens"] > 30

    def test_a_spoken_answer(self, server: Server, tmp_path: Path):
        answer = ask(
            server,
            tmp_path,
            modalities=["text", "audio"],
            audio={"format": "wav"},
            stage_sampling={"thinker": {"temperature": 0, "max_tokens": 5}, "talker": {"max_tokens": 10}},
            stage_params={"talker": {"voice": "aiden"}},
        )
        message, usage = answer.json["choices"][0]["message"], answer.json["usage"]
        assert base64.b64decode(message["audio"]["data"]).startswith(b"RIFF")
        assert usage["completion_tokens_details"]["text_tokens"] == 5
        assert 1 < usage["completion_tokens_details"]["audio_tokens"] <= 10


class TestErrors:
    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech"])
    def test_400_for_a_malformed_body_or_invalid_parameters(self, server: Server, tmp_path: Path, path: str):
        malformed = curl(server, f"curl -s http://localhost:8000{path} -d '{{\"model\": '", tmp_path)
        invalid = ask(server, tmp_path, path, input="Hello.", temperature=9)
        for answer in malformed, invalid:
            assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


CONFIG = """\
model_path: no/such-model
model_name: unused
host: 192.0.2.1
port: 1
log_level: info
media:
  allow_private_media: true  # the tests' files come from this machine
talker:
  slots: 3
"""


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Iterator[Server]:
    """A server of its own, started by the printed line; the flags behind it win over the config file."""
    directory = tmp_path_factory.mktemp("flags")
    (directory / "omni.yaml").write_text(CONFIG)
    line = COMMANDS["Start the server"].strip().replace("Qwen/Qwen3-Omni-30B-A3B-Instruct", str(demo_model))
    flags = ["--config", directory / "omni.yaml", "--model-name", "my-omni", "--log-level", "warning"]
    shell = ["env", f"PATH={PROGRAMS}:{os.environ['PATH']}", "bash", "-c", f'{line} "$@"', "bash"]
    server = Server(directory / "log", (*shell, *flags), None).start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
    assert "Traceback" not in server.output()


class TestFlags:
    def test_the_name_is_the_one_given(self, flagged: Server, tmp_path: Path):
        models = curl(flagged, COMMANDS["List the served model"], tmp_path).json["data"]
        assert [model["id"] for model in models] == ["my-omni"]
        chat = COMMANDS["Send a minimal chat request"]
        assert curl(flagged, chat, tmp_path).status == 404
        answer = curl(flagged, chat.replace("qwen3-omni", "my-omni"), tmp_path)
        assert (answer.status, answer.json["model"]) == (200, "my-omni")

    def test_the_file_acts_where_no_flag_is(self, flagged: Server):
        assert flagged.health()[1]["slots"]["talker"]["slots"] == 3

    def test_the_log_level_is_that_of_every_process(self, flagged: Server, server: Server):
        """The thinker, the HTTP server and both stages each log one of these at `info`."""
        for line in "max_total_num_tokens=", "Uvicorn running", "talker is ready", "code2wav is ready":
            assert line in server.output()
            assert line not in flagged.output()

    @pytest.mark.parametrize(("field", "path"), [("images", PHOTOGRAPH), ("audios", COUNTING), ("videos", VIDEO)])
    def test_media_by_url(self, flagged: Server, tmp_path: Path, files: str, field: str, path: Path):
        answer = ask(flagged, tmp_path, **{field: [f"{files}/{path.name}"]})
        assert answer.json["usage"]["prompt_tokens_details"][f"{field[:-1]}_tokens"] > 30

    @pytest.fixture
    def files(self) -> Iterator[str]:
        """The test data over HTTP."""

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

        handler = functools.partial(Quiet, directory=str(VIDEO.parent))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
            thread = threading.Thread(target=site.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{site.server_port}"
            site.shutdown()
            thread.join()

    def test_503_when_a_stage_is_gone(self, flagged: Server, tmp_path: Path):
        """The last but one: a stage needs seconds to come back."""
        os.kill(flagged.sidecar("code2wav"), signal.SIGKILL)
        deadline = time.monotonic() + 5
        while (answer := curl(flagged, COMMANDS["Health check"], tmp_path)).status != 503:
            assert time.monotonic() < deadline
        assert (answer.json["status"], answer.json["running"]) == ("unhealthy", False)
        answer = ask(flagged, tmp_path, "/v1/audio/speech", input="Hello.")
        assert (answer.status, answer.json["error"]["type"]) == (503, "server_error")

    def test_it_ends_when_the_thinker_is_gone(self, flagged: Server):
        """While nothing runs, and with a stage away."""
        family = flagged.processes()
        os.kill(flagged.thinker(), signal.SIGKILL)
        assert flagged.process.wait(10) == -signal.SIGKILL
        wait_until_gone(family)
