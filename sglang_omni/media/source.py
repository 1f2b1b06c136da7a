"""From what a request names, a path, a URL or a data URI, to the bytes of a file."""

import base64
import binascii
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from sglang_omni.media.deadline import Deadline
from sglang_omni.media.fetch import fetch
from sglang_omni.media.policy import MediaPolicy, refusal, too_large

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)
MAX_PATH = 4096
"""Characters: what is longer exists on no file system, and takes long to resolve."""


def is_remote(source: str | bytes) -> bool:
    return isinstance(source, str) and source[:6].lower().startswith(("http:", "https:"))


def read(source: str | bytes, policy: MediaPolicy, name: str, deadline: Deadline | None = None) -> bytes:
    """The file that `source` names; bytes are the file itself. The deadline is for downloads."""
    if isinstance(source, bytes):
        data = source
    else:
        scheme = SCHEME.match(source)
        kind = scheme.group(1).lower() if scheme else ""
        if kind in ("http", "https"):
            data = fetch(source, policy, name, deadline)
        elif kind == "data":
            data = _data_uri(source, policy, name)
        elif kind == "file":
            data = _local_file(_path(source, name), policy, name)
        elif scheme and scheme.group(2):
            raise refusal(name, f"{kind} URLs are not supported; use http, https, a data URI or a local path")
        else:
            data = _local_file(source, policy, name)
    if not data:
        raise refusal(name, "the file is empty")
    if len(data) > policy.max_bytes:
        raise too_large(policy, name)
    return data


def _data_uri(source: str, policy: MediaPolicy, name: str) -> bytes:
    header, comma, payload = source.partition(",")
    if not comma:
        raise refusal(name, "the data URI has no comma")
    if not header.lower().endswith(";base64"):
        return unquote_to_bytes(payload)
    if len(payload) > policy.max_bytes * 3 // 2:
        raise too_large(policy, name)
    try:
        return base64.b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError):
        raise refusal(name, "the data URI is not valid base64") from None


def _path(source: str, name: str) -> str:
    """What a file URL names."""
    try:
        url = urlsplit(source)
    except ValueError:
        raise refusal(name, "not a valid URL") from None
    if url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise refusal(name, "a file URL must be file:// and a path, with neither host, query nor fragment")
    return unquote(url.path)


def _local_file(path: str, policy: MediaPolicy, name: str) -> bytes:
    """A regular file in the allowed directory; what lies elsewhere is refused whether it exists or not."""
    if policy.directory is None:
        raise refusal(name, "local files are not allowed (--allowed-local-media-path)")
    if len(path) > MAX_PATH:
        raise refusal(name, f"a path has at most {MAX_PATH} characters; data go into a data URI")
    directory = policy.directory.resolve()
    try:
        resolved = (directory / path).resolve()
        inside = resolved.is_relative_to(directory)
        if inside:
            return _read_regular(resolved, policy, name)
    except (FileNotFoundError, NotADirectoryError):
        raise refusal(name, "no such file") from None
    except (OSError, ValueError, RuntimeError):  # no permission; a null character; links in a circle
        raise refusal(name, "the file cannot be read") from None
    raise refusal(name, "the file is not in the directory that may be read (--allowed-local-media-path)")


def _read_regular(path: Path, policy: MediaPolicy, name: str) -> bytes:
    # Without O_NONBLOCK, opening a named pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refusal(name, "not a file")
        if status.st_size > policy.max_bytes:
            raise too_large(policy, name)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(policy.max_bytes + 1)
    finally:
        os.close(descriptor)
