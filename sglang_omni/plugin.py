"""What SGLang loads in each of its processes, and the only file that touches its registries."""

from sglang_omni.errors import StartupError
from sglang_omni.models import families


def register() -> None:
    """Entry point `sglang.srt.plugins`: our thinker and media processor for each family's architecture."""
    from sglang.srt.environ import envs
    from sglang.srt.managers.multimodal_processor import PROCESSOR_MAPPING

    # When the registry is first imported it imports all of SGLang's models, unless it is told of a package of
    # models: then it waits until one is asked for. `sglang_omni.models` has none that it would find by itself.
    package = envs.SGLANG_EXTERNAL_MODEL_PACKAGE
    with package.override(package.get() or "sglang_omni.models"):
        from sglang.srt.models.registry import ModelRegistry

    for architecture, spec in families().items():
        thinker = spec.thinker()
        ModelRegistry.models[architecture] = thinker
        # Looked up by the class's name, first match wins: SGLang adds its own processors after this.
        PROCESSOR_MAPPING[thinker] = spec.processor()


def assert_registered(architecture: str) -> None:
    """Raises StartupError if SGLang would serve `architecture` without us: it only logs a plugin's failure."""
    from sglang.srt.managers.multimodal_processor import PROCESSOR_MAPPING
    from sglang.srt.models.registry import ModelRegistry

    spec = families()[architecture]
    if ModelRegistry.models.get(architecture) is not spec.thinker() or spec.thinker() not in PROCESSOR_MAPPING:
        raise StartupError(
            f"SGLang did not load the plugin for {architecture}: its log says why; "
            "SGLANG_PLUGINS, if set, must name omni"
        )


def register_sampler() -> None:
    """Heeds requests' seeds, under the names of the backends that SGLang itself chooses from."""
    from sglang.srt.layers.sampler import register_sampler_backend

    from sglang_omni.thinker.seeds import SeededSampler

    for backend in ("pytorch", "flashinfer"):
        register_sampler_backend(backend, SeededSampler)
