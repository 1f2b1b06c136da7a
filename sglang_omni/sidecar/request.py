"""A request inside one stage."""

import time
from dataclasses import dataclass, field
from typing import Any

from sglang_omni.sidecar.messages import Times


@dataclass
class Request:
    """Waiting while `slot` is None (its input piles up in `pending`), open from then to its end."""

    id: str
    params: dict[str, Any]
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # for the stages downstream too
    priority: int = 0
    slot: int | None = None
    state: Any = None
    pending: list[Any] = field(default_factory=list)
    arrived: float = 0.0  # times are the scheduler's clock's
    arrived_unix: float = field(default_factory=time.time)
    admitted: float = 0.0
    deadline: float = 0.0  # when a listener has heard all that was made, or wants to hear something
    begun: float | None = None  # when its first output left
    worked: float = 0.0  # seconds of all steps that it took part in
    sent: int = 0  # chunks sent downstream
    upstream_reason: str | None = None  # set by upstream's Finish
    upstream_usage: dict[str, int] = field(default_factory=dict)
    upstream_times: dict[str, Times] = field(default_factory=dict)

    def reason(self, own: str) -> str:
        """What to tell downstream: an answer cut anywhere on its way is cut."""
        return "length" if self.upstream_reason == "length" else own

    def times(self, now: float) -> Times:
        """Of a request that ends now."""
        first = None if self.begun is None else self.begun - self.arrived
        return Times(self.arrived_unix, self.admitted - self.arrived, first, now - self.arrived, self.worked)
