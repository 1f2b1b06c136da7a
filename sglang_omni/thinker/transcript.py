"""Which of a request's tokens its transcript has: what stops an answer is left out of its text and is not spoken.

SGLang trims text where it turns tokens into text, in another process. These are its rules, on tokens:

    a stop string    its text is cut out of the transcript. Of a token that begins before the string, the text that
                     stays is encoded anew. With `no_stop_trim` the string stays, what follows it in its token not.
    a stop token     is left out; with `no_stop_trim` it stays
    a stop pattern   `stop_regex` stays: it is seen only when it is there
    end of turn      says nothing, and is left out wherever it stands (with `ignore_eos`, in mid-answer)
"""

from sglang.srt.managers.schedule_batch import FINISH_MATCHED_STR, FINISH_MATCHED_TOKEN, Req

BROKEN = "\ufffd"  # decodes from part of a character's bytes


def settled(req: Req, start: int) -> tuple[list[int], int]:
    """Token ids of the transcript from output token `start` on, as far as nothing can take them back any more, and
    the output token to start from next."""
    ids = list(req.output_ids_through_stop[start:])
    end = start + len(ids)
    reason = req.finished_reason
    if reason is None:
        if _may_be_stopping(req):
            return [], start
    elif isinstance(reason, FINISH_MATCHED_STR):
        ids = _cut(req, start, reason.matched)
    elif isinstance(reason, FINISH_MATCHED_TOKEN) and not req.sampling_params.no_stop_trim:
        ids = ids[:-1]
    ends = {*(req.eos_token_ids or ()), req.tokenizer.eos_token_id}
    return [token for token in ids if token not in ends], end


def _may_be_stopping(req: Req) -> bool:
    """Whether the last tokens could be the beginning of a stop string. SGLang holds its text back alike."""
    if not req.sampling_params.stop_strs:
        return False
    return req.tail_str().endswith(BROKEN) or req.check_match_stop_str_prefix()


def _cut(req: Req, start: int, matched: str) -> list[int]:
    """Output tokens from `start` on up to where `matched` first stands in the text."""
    params, output = req.sampling_params, req.output_ids_through_stop

    def text(end: int) -> str:
        return req.tokenizer.decode(
            output[:end],
            skip_special_tokens=params.skip_special_tokens,
            spaces_between_special_tokens=params.spaces_between_special_tokens,
        )

    whole = text(len(output))
    position = whole.find(matched)
    if position < 0:  # a special token's name, which is no text
        return list(output[start:])
    kept = whole[: position + len(matched) * params.no_stop_trim]
    end = len(output)
    while end > start and not kept.startswith(text(end)):
        end -= 1
    rest = kept[len(text(end)) :]
    return [*output[start:end], *req.tokenizer.encode(rest, add_special_tokens=False)]
