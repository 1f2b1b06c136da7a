"""What answering one request took: gathered while it is answered, told in one line of the log when it has ended."""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sglang_omni.sidecar.messages import Times

if TYPE_CHECKING:
    from sglang.srt.managers.tokenizer_manager import ReqState

    from sglang_omni.entrypoints.delivery import Delivery

Fields = dict[str, float | int | str | None]


class Account:
    """Of one request. Moments are on the monotonic clock, which is SGLang's performance counter too."""

    def __init__(self, headers: Mapping[str, str]):
        self.headers = headers
        self.read = time.monotonic()  # when the last of its body had come
        self.thoughts: list[ReqState] = []  # what it asked of the thinker: more than one thing for `n`, or many prompts
        self.thought: Any = None  # what the thinker said last: an output, or a list of them
        self.deliveries: list[Delivery] = []  # its spoken answers: more than one for a batch

    def line(self, id: str, route: str, outcome: str, status: int | None) -> str:
        """`name=value` for whatever took part. Times are seconds; `-` stands for what is not known."""
        fields: Fields = {"request": id, "route": route, "outcome": outcome, "status": status}
        fields["total_s"] = time.monotonic() - self.read
        if self.thoughts or self.deliveries:
            fields |= self._text()
        if self.deliveries:
            fields |= self._sound(outcome == "finished")
        if self.thoughts:
            fields |= self._thinker()
        for stage in self.deliveries[0].times if self.deliveries else ():
            fields |= _of_stage(stage, [times for delivery in self.deliveries for times in delivery.times[stage]])
        return " ".join(f"{name}={_written(value)}" for name, value in fields.items())

    def _text(self) -> Fields:
        """Given, or made by the thinker."""
        made = sum(len(thought.output_ids) for thought in self.thoughts)
        given = sum(delivery.text_tokens for delivery in self.deliveries)
        return {
            "text_tokens": made or given,
            "first_text_s": self._since(_first(thought.time_stats.first_token_time for thought in self.thoughts)),
            "last_text_s": self._since(_last(thought.time_stats.finished_time for thought in self.thoughts)),
        }

    def _sound(self, finished: bool) -> Fields:
        players = [delivery.player for delivery in self.deliveries]
        seconds = sum(player.seconds for player in players)
        first, last = _first(player.began for player in players), max(player.last or 0.0 for player in players)
        return {
            "frames": sum(delivery.frames for delivery in self.deliveries),
            "audio_s": seconds,
            "first_audio_s": self._since(first),
            "last_audio_s": self._since(last),
            "real_time_factor": (last - self.read) / seconds if last and finished else None,
            "gaps": sum(player.gaps for player in players),
            "silence_s": sum(player.silence for player in players),
        }

    def _thinker(self) -> Fields:
        """SGLang tells how long a request waited, and how long its prompt took, with --enable-metrics only."""
        stats = [thought.time_stats for thought in self.thoughts]
        sent = _first(times.api_server_dispatch_finish_time for times in stats)
        output = self.thought[-1] if isinstance(self.thought, list) else self.thought
        told = output["meta_info"] if output else {}
        read = told.get("prefill_finished_time")
        return {
            "prepared_s": _span(_first(times.created_time for times in stats), sent),
            "thinker_waited_s": told.get("queue_time"),
            "thinker_prefill_s": read and read - told["forward_entry_time"],
            "thinker_first_s": _span(sent, _first(times.first_token_time for times in stats)),
            "thinker_s": _span(sent, _last(times.finished_time for times in stats)),
        }

    def _since(self, moment: float | None) -> float | None:
        return _span(self.read, moment)


def _of_stage(name: str, pieces: list[Times]) -> Fields:
    """A long speech, and a batch, is several requests to a stage: from the first's arrival to the last's end, with the
    waiting and the work of all."""
    fields = (f"{name}_waited_s", f"{name}_first_s", f"{name}_s", f"{name}_worked_s")
    if not pieces:
        return dict.fromkeys(fields)
    first = min(pieces, key=lambda times: times.arrived)
    waited, worked = sum(times.admitted for times in pieces), sum(times.worked for times in pieces)
    whole = max(times.arrived + times.ended for times in pieces) - first.arrived
    return dict(zip(fields, (waited, first.first, whole, worked), strict=True))


def _first(moments: Iterable[float | None]) -> float | None:
    """Of those that came: SGLang says 0 of what has not."""
    return min((moment for moment in moments if moment), default=None)


def _last(moments: Iterable[float]) -> float | None:
    """Once all have come."""
    moments = list(moments)
    return max(moments) if moments and all(moments) else None


def _span(begin: float | None, end: float | None) -> float | None:
    return end - begin if begin and end else None


def _written(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
