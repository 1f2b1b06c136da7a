"""What of SGLang cannot run beside a talker, each with its reason."""

from typing import Any

from sglang_omni.errors import ConfigError

NO_FORWARD = "brings KV into the cache without a forward pass, and the talker needs what that pass would have seen"
REPLAYED = "replays a prompt's forward pass from a graph, and the talker listens to one that runs"
SPLIT = "does not run a prompt's forward pass layer by layer in one place, where the talker listens"

# field of ServerArgs -> (its value when it is off, the option's name, why it must be)
REFUSED: dict[str, tuple[Any, str, str]] = {
    "enable_hierarchical_cache": (False, "--enable-hierarchical-cache", NO_FORWARD),
    "enable_lmcache": (False, "--enable-lmcache", NO_FORWARD),
    "enable_flexkv": (False, "--enable-flexkv", NO_FORWARD),
    "enable_unified_cache_external_linker": (False, "--enable-unified-cache-external-linker", NO_FORWARD),
    "disaggregation_mode": ("null", "--disaggregation-mode", NO_FORWARD),
    "enable_unified_memory": (False, "--enable-unified-memory", "moves KV between slots, and the talker's rows not"),
    "speculative_algorithm": (None, "--speculative-algorithm", "is not supported with speech yet"),
    "pp_size": (1, "--pipeline-parallel-size", "is not supported with speech yet"),
    "enable_two_batch_overlap": (False, "--enable-two-batch-overlap", SPLIT),
    "enable_pdmux": (False, "--enable-pdmux", SPLIT),
    "enable_prefill_cp": (False, "--enable-prefill-cp", SPLIT),
}


def check_server_args(args: Any) -> None:
    """Raises ConfigError if SGLang's `ServerArgs` ask for what a speaking server cannot do."""
    for field, (off, option, why) in REFUSED.items():
        if getattr(args, field) != off:
            raise _refused(option, why)
    backends = {
        "--cuda-graph-backend-prefill": args.cuda_graph_backend_prefill,
        "--cuda-graph-config": (args.cuda_graph_config or {}).get("prefill", {}).get("backend"),
    }
    for option, backend in backends.items():  # by default SGLang has no such graphs for a model that sees and hears
        if backend not in (None, "disabled"):
            raise _refused(f"{option} ({backend} for prefill)", REPLAYED)


def _refused(option: str, why: str) -> ConfigError:
    return ConfigError(f"{option} {why}; leave it out, or serve with --text-only")
