"""What the server answers over HTTP is what torch computes with the weights that were trained."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from models.transforms.image import decode_image, to_tensor
from models.transforms.scores import softmax
from models.transforms.text import TextEncoder
from tests.flow.alike import greedy_paths
from tests.flow.conftest import ROOT, Flow
from tests.service.conftest import ServerProcess

SEVEN = ROOT / "docs" / "examples" / "seven.png"
BATCH_MODELS = ("digits", "language-id", "digits-vae")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _torch(flow: Flow, inputs: dict[str, np.ndarray]) -> np.ndarray:
    tensors = [torch.from_numpy(inputs[spec.name]) for spec in flow.plan.inputs]
    with torch.inference_mode():
        return flow.plan.module(*tensors).numpy()


@pytest.mark.parametrize("name", BATCH_MODELS)
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_tensors_over_v2_get_torchs_answer(
    flows: dict[str, Flow], served: ServerProcess, name: str, batch: int
) -> None:
    flow = flows[name]
    inputs = flow.work.sample_inputs(batch, None)
    kinds = {"float32": "FP32", "int64": "INT64"}
    body = {
        "inputs": [
            {
                "name": key,
                "shape": list(value.shape),
                "datatype": kinds[str(value.dtype)],
                "data": value.ravel().tolist(),
            }
            for key, value in inputs.items()
        ]
    }
    with served.client() as client:
        reply = client.post(f"/v2/models/{name}/infer", json=body)
    assert reply.status_code == 200, reply.text
    (output,) = reply.json()["outputs"]
    answer = np.array(output["data"], dtype=np.float32).reshape(output["shape"])
    np.testing.assert_allclose(answer, _torch(flow, inputs), atol=1e-4, rtol=1e-4)


def test_a_picture_gets_torchs_scores(flows: dict[str, Flow], served: ServerProcess) -> None:
    flow = flows["digits"]
    picture = to_tensor(decode_image(SEVEN.read_bytes()), flow.bundle.manifest.preprocessing)
    scores = softmax(_torch(flow, {"image": picture[None]})[0], flow.bundle.manifest.temperature)
    with served.client() as client:
        reply = client.post(
            "/v1/models/digits/predict",
            params={"top_k": 10},
            content=SEVEN.read_bytes(),
            headers={"content-type": "image/png"},
        ).json()
    _assert_same_scores(reply["predictions"][0]["labels"], scores)


def test_a_phrase_gets_torchs_scores(flows: dict[str, Flow], served: ServerProcess) -> None:
    flow, phrase = flows["language-id"], "Var ligger närmaste järnvägsstation?"
    block = flow.bundle.manifest.preprocessing
    row = TextEncoder(flow.bundle.read_text(block.tokenizer), block).encode(phrase)
    logits = _torch(flow, {name: value[None] for name, value in row.items()})[0]
    with served.client() as client:
        body = {"text": phrase, "top_k": len(logits)}
        reply = client.post("/v1/models/language-id/predict", json=body).json()
    _assert_same_scores(
        reply["predictions"][0]["labels"], softmax(logits, flow.bundle.manifest.temperature)
    )


def _assert_same_scores(labels: list[dict[str, float]], scores: np.ndarray) -> None:
    assert len(labels) == len(scores)
    for row in labels:
        assert row["score"] == pytest.approx(scores[row["index"]], abs=1e-4)


def test_a_continuation_is_torchs_greedy_one(flows: dict[str, Flow], served: ServerProcess) -> None:
    flow, prompt = flows["pycode-gpt"], "def read_"
    tokenizer = Tokenizer.from_str(flow.bundle.read_text("tokenizer.json"))
    body = {"model": "pycode-gpt", "prompt": prompt, "max_tokens": 12, "temperature": 0}
    with served.client() as client:
        reply = client.post("/v1/completions", json=body).json()
    ids, network = tokenizer.encode(prompt).ids, flow.trained.module.network.float()
    paths = greedy_paths(network, ids, reply["usage"]["completion_tokens"])
    expected = {tokenizer.decode([*ids, *path])[len(prompt) :] for path in paths}
    assert reply["choices"][0]["text"] in expected


def test_the_same_seed_draws_the_same_picture(
    flows: dict[str, Flow], served: ServerProcess
) -> None:
    def draw(seed: int) -> bytes:
        body = {"model": "digits-vae", "prompt": "3", "seed": seed}
        with served.client() as client:
            reply = client.post("/v1/images/generations", json=body).json()
        return base64.b64decode(reply["data"][0]["b64_json"])

    assert draw(4) == draw(4) != draw(5)
    assert Image.open(io.BytesIO(draw(4))).width % 8 == 0


def test_predicting_without_a_server_gives_the_servers_answer(
    flows: dict[str, Flow], served: ServerProcess, flow_repository: Path
) -> None:
    command = [sys.executable, "-m", "slipway", "predict", "digits", str(SEVEN), "--json"]
    here = subprocess.run(
        [*command, "--repository", str(flow_repository)], cwd=ROOT, capture_output=True, check=True
    )
    there = subprocess.run(
        [*command, "--url", served.url], cwd=ROOT, capture_output=True, check=True
    )
    first, second = (json.loads(run.stdout)["predictions"][0]["labels"] for run in (here, there))
    assert [row["label"] for row in first] == [row["label"] for row in second]
    np.testing.assert_allclose(
        [row["score"] for row in first], [row["score"] for row in second], atol=1e-5
    )
