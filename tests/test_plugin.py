"""What SGLang finds in its registries once it has loaded our plugin."""

import sys

import pytest
from sglang.srt.managers.multimodal_processor import PROCESSOR_MAPPING
from sglang.srt.plugins import load_plugins

from sglang_omni.errors import StartupError
from sglang_omni.models import families
from sglang_omni.plugin import assert_registered


@pytest.fixture
def models():
    """SGLang's registry of models, first imported by the plugin, as in a server."""
    load_plugins()
    from sglang.srt.models.registry import ModelRegistry

    return ModelRegistry


@pytest.mark.parametrize("architecture", families())
def test_every_family_is_registered(models, architecture):
    assert_registered(architecture)
    spec = families()[architecture]
    thinker, _ = models.resolve_model_cls([architecture])
    assert thinker is spec.thinker()
    assert thinker.__name__ == architecture  # SGLang looks processors up by it
    assert PROCESSOR_MAPPING[thinker] is spec.processor()


def test_a_failed_plugin_is_noticed(models, monkeypatch):
    architecture = next(iter(families()))
    monkeypatch.delitem(models.models, architecture)
    with pytest.raises(StartupError, match=architecture):
        assert_registered(architecture)


def test_other_models_are_not_imported(models):
    """They take seconds, in every process."""
    assert not [name for name in sys.modules if name.startswith(("sglang.srt.models.falcon", "sglang.srt.models.grok"))]
