"""The law of isolation: a request's codes and sound are those it has alone, to the bit, and when all have ended nothing
is held. Also where steps are as on a GPU: one is under way while the next begins, and some rows are nobody's. Talker
and code2wav as they are, with too little memory for all, on a clock of our own; requests come when they like, are told
their words when the thinker likes, and some are given up.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sglang_omni.models.qwen3_omni import talker_stage
from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner
from sglang_omni.models.qwen3_omni.graph_frame import GraphFrame
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar import messages
from sglang_omni.sidecar.graphs import buckets
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Message, Start
from sglang_omni.sidecar.scheduler import Scheduler
from tests.models.qwen3_omni.conversations import told

SLOTS, PAGE_ROWS, TOTAL_ROWS = 5, 16, 112
PROMPTS = "short", "turns", "picture"  # up to 50 rows, read 16 at a time
VOICES = "chelsie", "ethan", "aiden"

Runners = tuple[TalkerRunner, Code2WavRunner]


@pytest.fixture(scope="module", params=["at once", "as on a GPU"])
def runners(tiny_model: Path, request: pytest.FixtureRequest) -> Iterator[Runners]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as on a GPU":
            patch.setattr(talker_stage, "frame", GraphFrame)
        patch.setattr(talker_stage, "PAGE_ROWS", PAGE_ROWS)
        patch.setattr(talker_stage, "FRAMES_AT_LEAST", 8)
        patch.setattr(talker_stage, "FRAMES_EXPECTED", 1)
        options = {"total_rows": TOTAL_ROWS, "prefill_rows": PAGE_ROWS}
        talker = TalkerRunner(StageOptions(str(tiny_model), slots=SLOTS, options=options))
        code2wav = Code2WavRunner(StageOptions(str(tiny_model), slots=SLOTS))
        if request.param == "as on a GPU":
            talker.is_late = code2wav.is_late = True
            code2wav.row_sizes = buckets(SLOTS)
            code2wav.capture()
        yield talker, code2wav


@dataclass(frozen=True)
class Asked:
    """A request: its prompt, how many words it is told, all at once or one by one, and how it speaks."""

    prompt: str
    words: int
    at_once: bool
    voice: str
    seed: int | None  # None is greedy
    max_frames: int
    gives_up: int | None = None  # after so many of its messages

    def speech(self) -> dict[str, Any]:
        chance = {"temperature": 0.0} if self.seed is None else {"seed": self.seed}
        return {"voice": self.voice, "max_frames": self.max_frames, **chance}

    def messages(self, name: str, model: Path) -> list[Message]:
        """What the thinker or the server says of it."""
        words = [20 + 7 * word for word in range(self.words)]
        chunks = [words] if self.at_once else [[word] for word in words]
        params = {**told(model, self.prompt).params, "speech": self.speech()}
        told_all = [Start(name, params), *(Chunk(name, chunk) for chunk in chunks), Finish(name, "stop")]
        return told_all if self.gives_up is None else [*told_all[: self.gives_up], Abort(name)]


REQUESTS = st.lists(
    st.builds(
        Asked,
        st.sampled_from(PROMPTS),
        st.integers(1, 16),
        st.booleans(),
        st.sampled_from(VOICES),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([5, 20, 90]),
        st.one_of(st.none(), st.none(), st.integers(1, 16)),
    ),
    min_size=1,
    max_size=8,
)


@dataclass
class Stages:
    """Both stages; what they send to each other lies in `mail` until it is delivered."""

    runners: Runners
    now: float = 0.0
    mail: list[Message] = field(default_factory=list)
    codes: dict[str, list[torch.Tensor]] = field(default_factory=lambda: defaultdict(list))
    sound: dict[str, bytes] = field(default_factory=lambda: defaultdict(bytes))
    over: dict[str, Message] = field(default_factory=dict)

    def __post_init__(self) -> None:
        talker, code2wav = self.runners
        self.talker = Scheduler("talker", talker, self._from_talker, self._end, clock=lambda: self.now)
        self.code2wav = Scheduler("code2wav", code2wav, self._from_code2wav, self._end, clock=lambda: self.now)

    def _from_talker(self, sent: list[Message]) -> None:
        for message in messages.decode(messages.encode(sent)):
            self.mail.append(message)
            if isinstance(message, Chunk):
                self.codes[message.request_id].append(message.data)

    def _from_code2wav(self, sent: list[Message]) -> None:
        for message in sent:
            if isinstance(message, Chunk):
                self.sound[message.request_id] += message.data
            elif isinstance(message, Finish):
                self._end([message])

    def _end(self, sent: list[Message]) -> None:
        for message in sent:
            assert message.request_id not in self.over, "it ends once"
            self.over[message.request_id] = message

    def deliver(self) -> None:
        self.code2wav.receive(self.mail.pop(0))

    def step(self, stage: Scheduler) -> bool:
        stepped = stage.step()
        stage.check_integrity()
        return stepped

    def run(self) -> None:
        """To the end."""
        while self.step(self.talker) or self.mail or self.step(self.code2wav):
            while self.mail:
                self.deliver()

    def is_as_new(self) -> bool:
        talker, code2wav = (
            (not stage.requests and not stage.waiting and state["free"] == SLOTS, state["free_pages"] == state["pages"])
            for stage in (self.talker, self.code2wav)
            for state in [stage.state()]
        )
        return not self.mail and all(talker) and all(code2wav)


def alone(runners: Runners, asked: Asked, model: Path) -> tuple[list[torch.Tensor], bytes]:
    """Of steps that are done at once."""
    stages = Stages(runners)
    with pytest.MonkeyPatch.context() as patch:
        for runner in runners:
            patch.setattr(runner, "is_late", False)
        for message in asked.messages("alone", model):
            stages.talker.receive(message)
        stages.run()
    return stages.codes["alone"], stages.sound["alone"]


def in_company(runners: Runners, requests: list[Asked], model: Path, dice: Random) -> Stages:
    """Whatever can happen next may: a message arrives at either stage, a stage takes a step, time passes."""
    stages = Stages(runners)
    inboxes = {str(number): asked.messages(str(number), model) for number, asked in enumerate(requests)}
    while any(inboxes.values()):
        stages.now += dice.random() ** 4
        match dice.randrange(4):
            case 0:
                name = dice.choice([name for name, inbox in inboxes.items() if inbox])
                message = inboxes[name].pop(0)
                stages.talker.receive(message)
                if isinstance(message, Abort):
                    stages.code2wav.receive(message)  # as the coordinator, who tells every stage
            case 1 if stages.mail:
                stages.deliver()
            case 2:
                stages.step(stages.code2wav)
            case _:
                stages.step(stages.talker)
    stages.run()
    return stages


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS, seed=st.integers(0, 2**32))
def test_each_sounds_as_it_does_alone_and_nothing_is_left(
    runners: Runners, tiny_model: Path, requests: list[Asked], seed: int
) -> None:
    stages = in_company(runners, requests, tiny_model, Random(seed))
    assert stages.is_as_new()
    for number, asked in enumerate(requests):
        codes, sound = stages.codes[str(number)], stages.sound[str(number)]
        if asked.gives_up is None:
            own_codes, own_sound = alone(runners, asked, tiny_model)
            assert isinstance(stages.over[str(number)], Finish)
            assert len(codes) == len(own_codes) > 0
            assert all(map(torch.equal, codes, own_codes))
            assert sound == own_sound
        else:
            assert not isinstance(stages.over.get(str(number)), Failed)


def test_the_law_is_tried_where_memory_is_short(runners: Runners, tiny_model: Path) -> None:
    """Requests that say far more than they are expected to: some are parked, and go on where they were."""
    requests = [
        Asked(PROMPTS[number % 3], 24, number % 2 == 0, VOICES[number % 3], number or None, max_frames=100)
        for number in range(SLOTS)
    ]
    stages = in_company(runners, requests, tiny_model, Random(1))
    assert stages.talker.parked > 5
    assert stages.is_as_new()
    for number, asked in enumerate(requests):
        codes, sound = alone(runners, asked, tiny_model)
        assert len(codes) > 30
        assert torch.equal(torch.stack(stages.codes[str(number)]), torch.stack(codes))
        assert stages.sound[str(number)] == sound


@pytest.mark.parametrize("moment", range(0, 60, 7))
def test_an_abort_ends_work_in_all_stages_within_one_step(runners: Runners, tiny_model: Path, moment: int) -> None:
    stages = Stages(runners)
    asked = Asked("short", 6, True, "ethan", 1, max_frames=90)
    for name in "kept", "given up":
        for message in asked.messages(name, tiny_model):
            stages.talker.receive(message)
    for _ in range(moment):
        stages.step(stages.talker)
        if stages.mail:
            stages.deliver()
        stages.step(stages.code2wav)
    stages.talker.receive(Abort("given up"))
    stages.code2wav.receive(Abort("given up"))
    spoken, heard = len(stages.codes["given up"]), len(stages.sound["given up"])
    assert "given up" not in stages.talker.requests.keys() | stages.code2wav.requests.keys()
    stages.run()
    assert len(stages.codes["given up"]) == spoken
    assert len(stages.sound["given up"]) == heard
    assert stages.is_as_new()
    assert stages.sound["kept"] == alone(runners, asked, tiny_model)[1]


def test_a_speech_ends_with_its_last_frame(runners: Runners, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is cut, for which no frame too many is begun, or says that it ends, which may be seen a frame late."""
    talker, _ = runners
    states = []
    opens = talker.open
    monkeypatch.setattr(talker, "open", lambda *given: states.append(opens(*given)) or states[-1])
    asked = Asked("short", 6, True, "ethan", 1, max_frames=10)

    def spoken() -> tuple[list[torch.Tensor], Message]:
        stages = Stages(runners)
        for message in asked.messages("one", tiny_model):
            stages.talker.receive(message)
        stages.run()
        assert stages.is_as_new()
        return stages.codes["one"], stages.over["one"]

    codes, end = spoken()
    assert states[0].frames == len(codes) == 10
    assert isinstance(end, Finish)
    assert (end.reason, end.usage["talker"]) == ("length", 10)

    first = [int(frame[0]) for frame in codes]
    monkeypatch.setattr(talker, "end_of_speech", first[6])
    shorter, end = spoken()
    assert torch.equal(torch.stack(shorter), torch.stack(codes[: first.index(first[6])]))
    assert isinstance(end, Finish)
    assert (end.reason, end.usage["talker"]) == ("stop", len(shorter))
