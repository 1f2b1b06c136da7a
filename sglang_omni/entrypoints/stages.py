"""What a request may say to each stage: `stage_sampling` and `stage_params`, the same for chat and speech."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
TopK = Annotated[int, Field(ge=-1, lt=2**31)]
RepetitionPenalty = Annotated[float, Field(gt=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Priority = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Tokens = Annotated[int, Field(ge=0, lt=2**31)]
ChunkFrames = Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=64)]
StopString = Annotated[str, Field(min_length=1, max_length=1000)]
Stop = StopString | Annotated[list[StopString], Field(max_length=4)]


def told(*names: str) -> Any:
    """For a string of which the schema tells the possible values; a sentence refuses others."""
    return Field(json_schema_extra={"enum": [*names]})


class Section(BaseModel):
    """A part of a request in which an unknown field is an error, and null means left out."""

    model_config = ConfigDict(strict=True, extra="forbid")


class CodePredictorSampling(Section):
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None


class TalkerSampling(CodePredictorSampling):
    repetition_penalty: RepetitionPenalty | None = None
    max_tokens: Count | None = None
    seed: Seed | None = None


class ThinkerSampling(CodePredictorSampling):
    min_p: TopP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: Count | None = None
    min_tokens: Tokens | None = None
    seed: Seed | None = None
    stop: Stop | None = None


class StageSampling(Section):
    thinker: ThinkerSampling | None = None
    talker: TalkerSampling | None = None
    code_predictor: CodePredictorSampling | None = None


class VoiceId(Section):
    id: str


class TalkerParams(Section):
    voice: str | VoiceId | None = None


class Code2WavParams(Section):
    chunk_frames: ChunkFrames | None = None


class StageParams(Section):
    talker: TalkerParams | None = None
    code2wav: Code2WavParams | None = None


def given(section: BaseModel | None) -> dict[str, Any]:
    """The fields a client set, nulls left out."""
    return section.model_dump(exclude_none=True) if section is not None else {}


@dataclass(frozen=True)
class SpeechOptions:
    """How a request speaks; None is the checkpoint's default. `max_frames` counts the talker's codec frames.

    `stages` is what the stages behind the talker are told, by their names; `priority` is that of a request without a
    thinker, which else has it.
    """

    voice: str
    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    max_frames: int | None = None
    code_predictor_temperature: float | None = None
    code_predictor_top_k: int | None = None
    code_predictor_top_p: float | None = None
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    priority: int = 0

    @classmethod
    def make(
        cls, voice: str, sampling: StageSampling | None, params: StageParams | None, **defaults: Any
    ) -> "SpeechOptions":
        """`sampling` wins over `defaults`, which are fields of the request outside `stage_sampling`."""
        talker = given(sampling.talker) if sampling else {}
        code_predictor = given(sampling.code_predictor) if sampling else {}
        if "max_tokens" in talker:
            talker["max_frames"] = talker.pop("max_tokens")
        prefixed = {f"code_predictor_{name}": value for name, value in code_predictor.items()}
        stages = {"code2wav": given(params.code2wav)} if params else {}
        return cls(voice, **{**defaults, **talker, **prefixed}, stages=stages)

    def params(self) -> dict[str, Any]:
        """As the talker's runner reads them; flat, because SGLang's `custom_params` nests no deeper."""
        return {name: value for name, value in asdict(self).items() if name not in ("stages", "priority")}
