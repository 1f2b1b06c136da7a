"""What SGLang loads in each of its processes, and the only file that touches its registries."""

from sglang_omni.errors import StartupError
from sglang_omni.models import families


def register() -> None:
    """Entry point `sglang.srt.plugins`: our thinker and media processor for each family's architecture."""
    from sglang.srt.environ import envs

    if not envs.SGLANG_EXTERNAL_MODEL_PACKAGE.get():
        # The registry imports all of SGLang's models when it is first imported, unless a package of models is
        # named; then only when somebody asks for another one. `sglang_omni.models` itself holds no such model.
        with envs.SGLANG_EXTERNAL_MODEL_PACKAGE.override("sglang_omni.models"):
            pass
    from sglang.srt.managers.multimodal_processor import PROCESSOR_MAPPING
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
