"""Every network of ours gives the same answers through either runtime, alone and in company."""

import numpy as np
import pytest

from models.runtimes import open_session
from models.runtimes.base import Arrays, Compute, GraphRefused, Session, SessionOptions
from models.runtimes.capabilities import package_folder, probe
from tests.models.runtimes.networks import PICTURES, TEXTS, exported, inputs_of

pytestmark = pytest.mark.skipif(
    package_folder("openvino") is None, reason="openvino is not installed"
)
QUICK = {"residual", "sentence encoder"}
RECURRENT = {"lstm", "gru"}
"""They get the lengths of their texts, which OpenVINO does not heed: refused, not answered wrongly."""
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in (*PICTURES, *TEXTS)
    if name not in RECURRENT
]


def session_of(name: str, runtime: str, compute: Compute = "fp32") -> Session:
    return open_session(runtime, exported(name), SessionOptions(compute=compute))


def largest(answers: Arrays) -> float:
    return max(float(np.abs(answer).max()) for answer in answers.values())


def difference(one: Arrays, other: Arrays) -> float:
    """Largest, as a part of the largest answer."""
    apart = {name: one[name].astype(np.float64) - other[name] for name in one}
    return largest(apart) / largest(other)


@pytest.mark.parametrize("name", NAMES)
def test_fp32_answers_are_those_of_the_reference_runtime(name: str) -> None:
    ours, theirs = session_of(name, "openvino"), session_of(name, "onnxruntime")
    for batch, length in ((1, 9), (2, 4), (5, 17), (3, 1)):
        inputs = inputs_of(name, batch, length)
        answer, expected = ours.run(inputs), theirs.run(inputs)
        assert {n: a.shape for n, a in answer.items()} == {n: a.shape for n, a in expected.items()}
        # Sums in another order: a few units in the last place, times the depth of the network.
        assert difference(answer, expected) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_recurrent_networks_that_are_given_lengths_are_refused(name: str) -> None:
    with pytest.raises(GraphRefused, match="run this model with onnxruntime"):
        session_of(name, "openvino")
    assert session_of(name, "onnxruntime").run(inputs_of(name, 3)).keys() == {"answer0"}


@pytest.mark.parametrize("name", NAMES)
def test_an_item_has_the_same_answer_in_company(name: str) -> None:
    session = session_of(name, "openvino")
    together = inputs_of(name, 5)
    answers = session.run(together)
    for row in range(5):
        alone = session.run({key: value[row : row + 1] for key, value in together.items()})
        for key, value in alone.items():
            np.testing.assert_allclose(
                value[0], answers[key][row], rtol=1e-4, atol=1e-5 * largest(answers)
            )


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_answers_are_near(name: str) -> None:
    [openvino] = [one for one in probe() if one.runtime == "openvino"]
    if "bf16" not in openvino.computes:
        pytest.skip("this processor has no products of bf16")
    inputs = inputs_of(name, 5)
    answer = session_of(name, "openvino", "bf16").run(inputs)
    expected = session_of(name, "onnxruntime").run(inputs)
    for key, value in expected.items():
        assert answer[key].dtype == value.dtype
        cosine = float(
            (answer[key] * value).sum() / np.linalg.norm(answer[key]) / np.linalg.norm(value)
        )
        # Eight bits of mantissa; with random weights nothing has learned to stand apart.
        assert cosine > 0.99
