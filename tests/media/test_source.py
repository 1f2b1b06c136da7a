"""Where media may come from: directories, addresses, redirects."""

import base64
import os
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy
from sglang_omni.media.fetch import _is_public
from sglang_omni.media.source import read

BODY = bytes(range(256)) * 1000


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        match self.path:
            case "/file":
                self.answer(200, BODY)
            case "/missing":
                self.answer(404, b"no")
            case "/loop":
                self.answer(302, b"", Location="/loop")
            case "/hop":
                self.answer(302, b"", Location="/file")
            case "/to-a-path":
                self.answer(302, b"", Location="file:///etc/passwd")
            case "/to-another-host":
                self.answer(302, b"", Location=f"http://localhost:{self.server.server_port}/file")
            case "/slow":
                self.send_response(200)
                self.end_headers()
                for _ in range(50):
                    self.wfile.write(b"x")
                    time.sleep(0.1)

    def answer(self, status, body, **headers):
        self.send_response(status)
        for header in headers.items():
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/file").write_bytes(BODY)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "allowed/link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "allowed/pipe")
    (tmp_path / "allowed/circle").symlink_to(tmp_path / "allowed/circle")
    return MediaPolicy(directory=tmp_path / "allowed", private=True)


def refused(source, policy, words):
    with pytest.raises(MediaError) as error:
        read(source, policy, "audios[0]")
    assert str(error.value).startswith("audios[0]: ")
    assert words in str(error.value)
    assert str(policy.directory) not in str(error.value)


def test_local_files(policy):
    assert read(str(policy.directory / "file"), policy, "x") == BODY
    assert read("file", policy, "x") == BODY
    assert read(f"file://{policy.directory}/file", policy, "x") == BODY


def test_local_files_that_are_refused(policy):
    refused("gone", policy, "no such file")
    refused("file/below", policy, "no such file")
    refused("../secret", policy, "--allowed-local-media-path")
    refused("../not-even-there", policy, "--allowed-local-media-path")
    refused("link", policy, "--allowed-local-media-path")
    refused("file:///etc/passwd", policy, "--allowed-local-media-path")
    refused(".", policy, "cannot be read")
    refused("pipe", policy, "not a file")
    refused("circle", policy, "cannot be read")
    refused("nul\0l", policy, "cannot be read")
    refused("a" * 5000, policy, "cannot be read")
    refused("file", replace(policy, directory=None), "--allowed-local-media-path")
    refused("s3://bucket/file", policy, "s3 URLs are not supported")


def test_data_uris(policy):
    encoded = base64.b64encode(BODY).decode()
    assert read(f"data:audio/wav;base64,{encoded}", policy, "x") == BODY
    assert read("data:,a%20b", policy, "x") == b"a b"
    refused("data:audio/wav;base64,?!", policy, "not valid base64")
    refused("data:audio/wav", policy, "no comma")
    refused(f"data:;base64,{encoded}", replace(policy, max_bytes=1000), "larger than")


def test_downloads(policy, url):
    assert read(f"{url}/file", policy, "x") == BODY
    assert read(f"{url}/hop", policy, "x") == BODY


def test_downloads_that_are_refused(policy, url):
    refused(f"{url}/missing", policy, "status 404")
    refused(f"{url}/loop", policy, "redirects more than")
    refused(f"{url}/to-a-path", policy, "must be http or https")
    refused(f"{url}/file", replace(policy, max_bytes=1000), "larger than")
    refused(f"{url}/slow", replace(policy, fetch_seconds=0.3), "did not answer within 0.3 s")
    refused("http://127.0.0.1:1/file", policy, "could not be fetched")
    refused("http://127.0.0.1:port/file", policy, "could not be fetched")
    refused("http://", policy, "must be http or https")


def test_private_addresses_are_refused_unless_allowed(policy, url):
    public = replace(policy, private=False)
    refused(f"{url}/file", public, "--allow-private-media")
    refused(url.replace("127.0.0.1", "localhost") + "/file", public, "--allow-private-media")
    refused(url.replace("127.0.0.1", "[::ffff:127.0.0.1]") + "/file", public, "--allow-private-media")


def test_named_domains_are_the_only_ones_and_trusted(policy, url):
    named = replace(policy, private=False, domains=("127.0.0.1",))
    assert read(f"{url}/file", named, "x") == BODY
    refused("http://example.org/file", named, "--allowed-media-domain")
    refused(f"{url}/to-another-host", named, "--allowed-media-domain")


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1"]
)
def test_addresses_that_are_not_public(address):
    assert not _is_public(address)


def test_public_addresses():
    assert _is_public("8.8.8.8")
    assert _is_public("2001:4860:4860::8888")
