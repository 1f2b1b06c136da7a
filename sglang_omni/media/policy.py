"""What media a server accepts."""

from dataclasses import dataclass, field
from pathlib import Path

from sglang_omni.errors import MediaError


@dataclass(frozen=True)
class MediaPolicy:
    """Where media may come from, and how large they may be.

    `directory`      local files must lie in it, symbolic links resolved; None: no local files
                     (`--allowed-local-media-path`)
    `domains`        if any are named, remote media come from them and their subdomains alone, which are trusted
                     to have any address (`--allowed-media-domain`, may be repeated)
    `private`        remote media may come from addresses that are not public (`--allow-private-media`)
    `max_bytes`      of one file, before decoding
    `max_pixels`     of one picture, or of one frame of a video
    `max_total_pixels`  of all pictures and all sampled frames of videos of one request together
    `max_seconds`    of one video, and of all sounds of one request together
    `fetch_seconds`  for one download with its redirects
    `decode_seconds` for decoding one file
    `decode_bytes`   of memory for decoding one file
    """

    directory: Path | None = field(default_factory=Path.cwd)
    domains: tuple[str, ...] = ()
    private: bool = False
    max_bytes: int = 256 * 2**20
    max_pixels: int = 64 * 2**20
    max_total_pixels: int = 512 * 2**20
    max_seconds: float = 2400.0
    fetch_seconds: float = 30.0
    decode_seconds: float = 60.0
    decode_bytes: int = 4 * 2**30


def refusal(name: str, reason: str) -> MediaError:
    """The error about the medium that the request calls `name`, as `images[0]`."""
    return MediaError(f"{name}: {reason}", param=name)


def too_large(policy: MediaPolicy, name: str) -> MediaError:
    return refusal(name, f"the file is larger than {policy.max_bytes / 2**20:g} MiB (--media-max-bytes)")
