"""Every field of a chat request, and what becomes of it.

A field acts, or says nothing about the answer, or is refused. A test fails when SGLang has a field that is in none
of these lists.
"""

from typing import Any

from sglang_omni.errors import InvalidRequest

ACTS = {
    "conversation": "messages images audios videos tools tool_choice parallel_tool_calls chat_template_kwargs input_ids"
    " continue_final_message reasoning",
    "media": "use_audio_in_video video_fps video_max_frames video_config mm_processor_kwargs",
    "sampling": "temperature top_p top_k min_p repetition_penalty frequency_penalty presence_penalty logit_bias seed"
    " custom_logit_processor custom_params watermark",
    "length": "max_tokens max_completion_tokens min_tokens stop stop_token_ids stop_regex no_stop_trim ignore_eos",
    "form": "response_format regex ebnf skip_special_tokens",
    "speech": "modalities audio stage_sampling stage_params talker_temperature talker_top_p talker_top_k"
    " talker_repetition_penalty talker_max_new_tokens",
    "answer": "n stream stream_options logprobs top_logprobs return_hidden_states return_cached_tokens_details"
    " return_prompt_token_ids return_token_ids return_meta_info return_input_ids_in_sglext"
    " return_output_ids_in_sglext return_sampling_mask sampling_logprobs_mode return_flat_raw_output_top_logprobs"
    " return_flat_raw_top_logprobs_b64",
    "serving": "model lora_path rid request_id extra_key cache_salt routed_dp_rank data_parallel_rank",
}

SAYS_NOTHING = "metadata store user service_tier prompt_cache_key prompt_cache_retention safety_identifier"
"""Of OpenAI's API and of gateways: who asks, and what becomes of the answer elsewhere."""

REFUSED = {
    "images_config": "does not act here; a picture's size is its image_url's detail",
    "min_dynamic_patch": "is for models that cut pictures into patches, which this one does not",
    "max_dynamic_patch": "is for models that cut pictures into patches, which this one does not",
    "session_params": "does not act in a chat; send the whole conversation as messages",
    "task": "is for DeepSeek's models",
    "thinking": "is for other models; send chat_template_kwargs",
}
"""Field -> why it is refused unless it has its default."""

NEEDS = {
    "return_routed_experts": ("enable_return_routed_experts", "--enable-return-routed-experts"),
    "routed_experts_start_len": ("enable_return_routed_experts", "--enable-return-routed-experts"),
    "return_spec_tokens_details": ("speculative_algorithm", "--speculative-algorithm"),
    "session_id": ("enable_session_radix_cache", "--enable-session-radix-cache"),
    "priority": ("enable_priority_scheduling", "--enable-priority-scheduling"),
    "reasoning_effort": ("reasoning_parser", "--reasoning-parser"),
    "separate_reasoning": ("reasoning_parser", "--reasoning-parser"),
    "stream_reasoning": ("reasoning_parser", "--reasoning-parser"),
    "bootstrap_host": ("disaggregation_mode", "--disaggregation-mode"),
    "bootstrap_port": ("disaggregation_mode", "--disaggregation-mode"),
    "bootstrap_room": ("disaggregation_mode", "--disaggregation-mode"),
    "disagg_prefill_dp_rank": ("disaggregation_mode", "--disaggregation-mode"),
}
"""Field -> the server's setting without which it does not act, and the option that makes it."""

OFF = (None, False, "", "null", "none")


def check_fields(request: Any, setting: Any) -> None:
    """Raises InvalidRequest for what would not act. `setting` gives the server's setting of a name."""
    for name, why in REFUSED.items():
        if _asked(request, name):
            raise InvalidRequest(f"{name} {why}", param=name)
    for name, (needed, option) in NEEDS.items():
        if _asked(request, name) and setting(needed) in OFF:
            raise InvalidRequest(f"{name} acts only on a server that was started with {option}", param=name)


def _asked(request: Any, name: str) -> bool:
    """Whether it says more than "as always" or "off"."""
    value = getattr(request, name)
    return value not in (type(request).model_fields[name].default, None, False, "none", {})
