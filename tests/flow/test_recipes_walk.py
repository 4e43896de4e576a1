"""Every recipe goes the whole way: train → evaluate → export → verify → publish → load → answer → metrics.

A recipe is tested here by being registered. The answer over HTTP must be what the service's own task makes
of torch's outputs for the same instance.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from docs.examples.demo_models import DEMO
from models.manifest import MODEL_FILE
from service.tasks import open_task
from service.tasks.base import BatchTask, GenerationTask, Item, Row, ServiceTask
from service.tasks.text_to_text import TextToText
from tests.faults.ledger import total
from tests.flow.alike import assert_alike, greedy_paths
from tests.flow.conftest import Flow, Flows, train_tiny
from tests.service.conftest import ServerProcess, running
from training import recipes
from training.decoding import Writing, search, source_step
from training.predict import torch_predict

pytestmark = pytest.mark.slow

# Recipe → why it cannot take this path. Empty, and meant to stay so.
EXCLUDED: dict[str, str] = {}
DEMO_RECIPES = {model.recipe for model in DEMO}
NAMES = [recipe.name for recipe in recipes.known() if recipe.name not in EXCLUDED]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk") / "models" / "repository"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[ServerProcess]:
    arguments = ["--repository", str(repository), "--model-control-mode", "explicit"]
    with running(*arguments) as started:
        yield started
        assert "Traceback" not in started.errors


@pytest.mark.parametrize("recipe", NAMES)
def test_from_training_to_a_served_answer(
    recipe: str, repository: Path, server: ServerProcess, shared_flows: Flows
) -> None:
    if recipe in DEMO_RECIPES:
        flow = shared_flows[recipe]
        shutil.copytree(flow.bundle.path.parent, repository / recipe)
    else:
        flow = train_tiny(recipe, repository)
    manifest, name = flow.bundle.manifest, flow.bundle.name
    main = manifest.evaluation[0]
    assert np.isfinite(main.value)
    assert main.samples > 0
    assert main.interval is not None
    assert {"parity"} <= {gate.name for gate in manifest.gates}
    task = open_task(flow.bundle)
    example, options = task.example(), _settled(task)
    with server.client() as client:
        loaded = client.post(f"/v2/repository/models/{name}/load", timeout=60)
        assert loaded.status_code == 200, loaded.text
        body = {task.field: example, **options}
        reply = client.post(f"/v1/models/{name}/predict", json=body)
        assert reply.status_code == 200, reply.text
    [answer] = reply.json()["predictions"]
    task.answer.model_validate(answer)
    if isinstance(task, BatchTask):
        assert_alike(answer, _of_torch(flow, task, example, options))
    elif isinstance(task, TextToText):
        _assert_found(flow, task, example, options, answer)
    else:
        assert isinstance(task, GenerationTask)
        assert answer in _greedy_of_torch(flow, task, example, options, answer)
    assert total(server, "slipway_requests_total", model=name, code="200") == 1
    assert total(server, "slipway_model_ready", model=name) == 1


def _settled(task: ServiceTask) -> dict[str, object]:
    """Options that leave nothing to chance."""
    fixed: dict[str, object] = {"seed": 7, "temperature": 0, "max_tokens": 12}
    return {name: value for name, value in fixed.items() if name in task.options.model_fields}


def _of_torch(flow: Flow, task: BatchTask, example: object, given: dict[str, object]) -> Any:
    """The task's own words for what torch computes, one item at a time."""
    options = task.parse_options(given)
    prepared = task.preprocess(task.read_json(example), options)
    ask = flow.work.torch_predict(flow.plan) or torch_predict(flow.plan, torch.device("cpu"))

    def row_of(item: Item) -> Row:
        outputs = ask({name: value[None] for name, value in item.items()})
        return {name: value[0] for name, value in outputs.items()}

    rows = [row_of(item) for item in prepared.items]
    if (loop := prepared.loop) is not None:
        while not loop.is_done:
            loop.take(row_of(loop.item()))
        rows = loop.rows()
    answer = task.postprocess(rows, prepared, options)
    return json.loads(json.dumps(answer, default=_plain))


def _plain(value: object) -> object:
    assert isinstance(value, np.ndarray | np.generic)
    return value.tolist()


def _greedy_of_torch(
    flow: Flow, task: GenerationTask, example: object, given: dict[str, object], answer: Any
) -> list[Any]:
    """The same answer with the text that the network writes when it always takes the likeliest token; more
    than one where there are near ties."""
    options = task.parse_options(given)
    request = task.preprocess(task.read_json(example), options)
    network = flow.trained.module.network.float()
    answers = []
    for path in greedy_paths(network, list(request.prompt_ids), answer["completion_tokens"]):
        reader = task.new_reader(options)
        reader.feed(tuple(path))
        reader.finish()
        answers.append(task.postprocess(request, reader, answer["finish_reason"]))
    return answers


def _assert_found(
    flow: Flow, task: TextToText, example: object, given: dict[str, object], answer: Any
) -> None:
    """The text that measuring's own search finds in the published graphs; torch finds one as likely, up
    to the rounding of the cache, which may turn a near tie."""
    request = task.preprocess(task.read_json(example), task.parse_options(given))
    params = request.sampling
    assert params.num_beams == 2
    writing = Writing(
        request.prompt_ids[0],
        params.stop_token_ids,
        params.max_tokens,
        params.num_beams,
        params.length_penalty,
    )
    found = []
    for predict in (
        flow.work.onnx_predict(flow.bundle.path / MODEL_FILE),
        flow.work.torch_predict(flow.plan),
    ):
        assert predict is not None
        sizes = flow.trained.module.network.sizes
        step = source_step([np.array(request.source_ids, np.int64)], predict, sizes)
        found += search(step, 1, writing)
    graphs, torch_side = found
    assert answer == {
        "text": task.target_tokenizer.decode(list(graphs.tokens)).strip(),
        "finish_reason": "stop" if graphs.has_stopped else "length",
        "source_tokens": len(request.source_ids),
        "completion_tokens": len(graphs.tokens),
        "score": pytest.approx(graphs.score, abs=1e-3),
    }
    assert graphs.score == pytest.approx(torch_side.score, abs=0.02)
