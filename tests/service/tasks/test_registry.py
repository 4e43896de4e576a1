import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.errors import ManifestInvalid
from service.tasks import TaskEntry, known, open_task, plugin, register
from tests.service.bundles import BUNDLES, redrawer_bundle
from tests.service.picture_bundles import embedder_bundle, inspector_bundle
from tests.service.scene_bundles import detection_bundle, segmentation_bundle
from tests.service.span_bundles import answer_bundle, entity_bundle
from tests.service.text_bundles import embedding_bundle, similarity_bundle
from tests.service.translator_bundles import translator_bundle

MAKERS: dict[str, Any] = {
    **BUNDLES,
    "image-embedding": embedder_bundle,
    "image-reconstruction": redrawer_bundle,
    "object-detection": detection_bundle,
    "question-answering": lambda repository: answer_bundle(repository.parent),
    "semantic-segmentation": segmentation_bundle,
    "sentence-embedding": embedding_bundle,
    "text-similarity": similarity_bundle,
    "text-to-text": translator_bundle,
    "visual-anomaly-detection": inspector_bundle,
    "token-classification": lambda repository: entity_bundle(repository.parent),
}

NAMES = [entry.name for entry in known()]


def test_the_four_demo_tasks_and_bare_graphs_are_known() -> None:
    assert set(NAMES) >= {
        "image-classification",
        "text-classification",
        "text-generation",
        "image-generation",
        "tensor",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_carries_the_name_it_is_registered_under(name: str) -> None:
    assert plugin(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_loaded_model_is_an_instance_it_prepares(
    name: str, tmp_path: Path
) -> None:
    task = open_task(MAKERS[name](tmp_path / "repository"))
    instance = task.read_json(task.example())
    assert task.preprocess(instance, task.parse_options({}))


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_default_and_a_sentence(name: str) -> None:
    for field in plugin(name).options.model_fields.values():
        assert not field.is_required()
        assert field.description


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ManifestInvalid, match="task 'mind-reading' is unknown; known: image-class"):
        plugin("mind-reading")


def test_a_second_registration_is_an_error() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register(TaskEntry("tensor", "x", "y", "somewhere:Else"))


def test_listing_imports_no_plugin() -> None:
    code = (
        "import sys, service.tasks as t; t.known(); "
        "assert not [m for m in sys.modules if m.startswith('service.tasks.')], sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
