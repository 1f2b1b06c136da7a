"""A text on its way through the stages: a long one in pieces, whose sounds are joined."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import ExitStack, aclosing
from dataclasses import replace

from sglang_omni.audio.clip import BYTES_PER_SAMPLE, CHANNELS
from sglang_omni.audio.join import Fade, silence
from sglang_omni.audio.tempo import Tempo
from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.delivery import Delivery, deliver
from sglang_omni.entrypoints.sentences import pause_after, pieces
from sglang_omni.entrypoints.stages import SpeechOptions
from sglang_omni.errors import InvalidRequest
from sglang_omni.pipeline import Speech

BEGIN_NEXT_AFTER = 5.0  # seconds of a piece's sound: the next makes no gap, and does not hold up the begin of this one
ROUTE = "/v1/audio/speech"


class Speaking:
    """One request. Each piece of its text is a request to the talker of its own, with the same voice and settings.

    When all is said, `finish_reason` is `stop`, or `length` if a piece or the whole was cut by its number of frames.
    """

    def __init__(
        self,
        client: Client,
        account: Account,
        id: str,
        text: str,
        instructions: str | None,
        options: SpeechOptions,
        speed: float = 1.0,
        route: str = ROUTE,
    ):
        self.id = id
        self.sample_rate = client.spec.sample_rate
        self.finish_reason = "stop"
        self._client = client
        self._account = account
        self._route = route
        self._pipeline = client.pipeline
        self._options = options
        self._speed = speed
        self._prompt = client.speech_prompt(instructions)
        parts = [part for part in pieces(text, client.longest_text) if part.strip()]
        self._pauses = [pause_after(part) for part in parts[:-1]]
        if len(parts) > 1:
            parts = [part.strip() for part in parts]
        self._texts = [client.prompt_text.encode(part) for part in parts]
        self._given = self._frames = 0
        self._arrived = 0.0  # when the sound that leaves now had come from the stages

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Sample-Rate": str(self.sample_rate),
            "X-Channels": str(CHANNELS),
            "X-Bit-Depth": str(8 * BYTES_PER_SAMPLE),
        }

    @property
    def usage(self) -> dict[str, int]:
        """Of all pieces that were begun, their prompts included; a token of output is a frame of sound."""
        given, frames = self._given, self._frames
        return {"input_tokens": given, "output_tokens": frames, "total_tokens": given + frames}

    async def pcm(self) -> AsyncGenerator[bytes, None]:
        """The sound as it is made; to close the generator early frees every piece in every stage."""
        with deliver(self._client, self._account, self.id, self._route) as delivery:
            delivery.text_tokens = sum(map(len, self._texts))
            async with aclosing(self._sound(delivery)) as sound:
                async for pcm in sound:
                    delivery.sound(pcm, self._arrived)
                    yield pcm

    async def _sound(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._joined(delivery)) as joined:
            try:
                async for pcm in joined if self._speed == 1 else at_speed(self._speed, joined, self.sample_rate):
                    yield pcm
            except InvalidRequest as error:  # of the prompt, which holds nothing else that is the client's
                raise InvalidRequest(str(error), param="instructions") from None

    async def _joined(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        last = len(self._texts) - 1
        ahead = round(BEGIN_NEXT_AFTER * self.sample_rate) * BYTES_PER_SAMPLE
        with ExitStack() as speeches:
            speech = self._begin(0, speeches)
            for index in range(last + 1):
                following, heard = None, 0
                fade = Fade(self.sample_rate, begin=index > 0, end=index < last)
                async for pcm in speech:
                    self._arrived = speech.arrived
                    yield fade.sound(pcm)
                    heard += len(pcm)
                    # Under a limit of frames it must first be known what this piece leaves.
                    if following is None and index < last and heard >= ahead and self._left is None:
                        following = self._begin(index + 1, speeches)
                self._arrived = speech.arrived
                yield fade.finish()
                self._frames += speech.frames
                delivery.made(self._id(index), speech)
                if speech.finish_reason == "length" or (index < last and self._left == 0):
                    self.finish_reason = "length"
                if index == last or self._left == 0:
                    return
                yield silence(self._pauses[index], self.sample_rate)
                speech = following or self._begin(index + 1, speeches)

    @property
    def _left(self) -> int | None:
        """Frames that may still be spoken, None without a limit."""
        limit = self._options.max_frames
        return None if limit is None else max(0, limit - self._frames)

    def _id(self, index: int) -> str:
        """Of a piece, in every stage."""
        return f"{self.id}.{index}" if index else self.id

    def _begin(self, index: int, speeches: ExitStack) -> Speech:
        """Starts a piece. Leaving `speeches` aborts what it has not finished."""
        seed = self._options.seed
        options = replace(self._options, seed=None if seed is None else seed + index, max_frames=self._left)
        id = self._id(index)
        ids, end = self._texts[index], self._client.thinker.tokenizer.eos_token_id
        speech = speeches.enter_context(self._pipeline.listen(id, goes_on=index > 0))
        params = self._client.speech_params(self._prompt, options)
        self._pipeline.speak(id, params, [*ids, end], options.stages, options.priority)
        self._given += len(self._prompt) + len(ids)
        return speech


async def at_speed(speed: float, sound: AsyncIterable[bytes], sample_rate: int) -> AsyncGenerator[bytes, None]:
    tempo = Tempo(speed, sample_rate)
    async for pcm in sound:
        if stretched := tempo.stretch(pcm):
            yield stretched
    yield tempo.finish()
