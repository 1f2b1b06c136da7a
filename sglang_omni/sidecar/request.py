"""A request inside one stage."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """Waiting while `slot` is None (its input piles up in `pending`), open from then to its end."""

    id: str
    params: dict[str, Any]
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # for the stages downstream too
    slot: int | None = None
    state: Any = None
    pending: list[Any] = field(default_factory=list)
    deadline: float = 0.0  # when a listener has heard all that was made, or wants to hear something
    begun: float | None = None  # when its first output left
    sent: int = 0  # chunks sent downstream
    upstream_reason: str | None = None  # set by upstream's Finish
    upstream_usage: dict[str, int] = field(default_factory=dict)

    def reason(self, own: str) -> str:
        """What to tell downstream: an answer cut anywhere on its way is cut."""
        return "length" if self.upstream_reason == "length" else own
