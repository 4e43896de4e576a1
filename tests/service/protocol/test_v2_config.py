"""Triton's model configuration says what the manifest and the batcher say."""

from models.blocks import ClassificationPostprocessing
from models.datatypes import TYPES, DataType
from models.manifest import Batching, QueuePolicy, TensorSpec
from service.batching.limits import limits_of
from service.lifecycle.version_policy import VersionPolicy
from service.protocol.v2_config import model_config, version_policy
from tests.service.manifests import manifest_of

CPU = "CPUExecutionProvider"


def test_batches_along_the_first_axis_are_left_out_of_the_dims() -> None:
    shape = ("batch", "time", 3)
    manifest = manifest_of([("x", DataType.FLOAT, shape)], [("y", DataType.INT64, ("batch",))])
    batching = Batching(
        max_batch_size=16,
        max_queue_delay_microseconds=500,
        preferred_batch_size=(4, 8),
        allowed_batch_sizes=(4, 8, 16),
        max_batch_tokens=64,
        priority_levels=3,
        instance_group=2,
        default_queue_policy=QueuePolicy(
            max_queue_size=7, default_timeout_microseconds=900, timeout_action="DELAY"
        ),
    )
    config = model_config(manifest, limits_of(batching, 4), CPU)
    assert config["max_batch_size"] == 16
    assert config["input"][0]["dims"] == [-1, 3]
    assert config["output"][0] == {
        "name": "y",
        "data_type": "TYPE_INT64",
        "dims": [],
        "label_filename": "",
        "is_shape_tensor": False,
    }
    assert config["instance_group"] == [{"name": "m", "kind": "KIND_CPU", "count": 2}]
    assert config["dynamic_batching"] == {
        "preferred_batch_size": [4, 8],
        "max_queue_delay_microseconds": 500,
        "preserve_ordering": False,
        "priority_levels": 3,
        "default_priority_level": 2,
        "default_queue_policy": {
            "timeout_action": "DELAY",
            "default_timeout_microseconds": 900,
            "allow_timeout_override": False,
            "max_queue_size": 7,
        },
        "priority_queue_policy": {},
    }
    assert config["parameters"]["allowed_batch_sizes"] == {"string_value": "4,8,16"}
    assert config["parameters"]["max_batch_tokens"] == {"string_value": "64"}


def test_without_a_batch_along_the_first_axis_there_is_none() -> None:
    spec = TensorSpec(name="x", dtype=DataType.FLOAT, shape=("n", 2), batch_axis=None)
    manifest = manifest_of([spec])
    config = model_config(manifest, limits_of(manifest.batching, 1), CPU)
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [-1, 2])
    assert "dynamic_batching" not in config
    assert model_config(manifest, None, "")["max_batch_size"] == 0


def test_every_type_has_tritons_name() -> None:
    for info in TYPES:
        manifest = manifest_of([("x", info.onnx, ("batch",))])
        found = model_config(manifest, limits_of(manifest.batching, 1), CPU)["input"]
        expected = "STRING" if info.v2 == "BYTES" else info.v2
        assert found[0]["data_type"] == f"TYPE_{expected}"


def test_the_labels_file_stands_at_its_output_and_a_gpu_is_called_one() -> None:
    outputs = [("y", DataType.FLOAT, ("batch", 3)), ("z", DataType.FLOAT, ("batch", 3))]
    block = ClassificationPostprocessing(output="z", labels="names.txt")
    manifest = manifest_of([("x", DataType.FLOAT, ("batch",))], outputs)
    manifest = manifest.model_copy(update={"postprocessing": block})
    details = {"cuda_graphs": "batches of 1, 8"}
    limits = limits_of(manifest.batching, 1)
    config = model_config(manifest, limits, "CUDAExecutionProvider", details=details)
    assert config["parameters"]["cuda_graphs"] == {"string_value": "batches of 1, 8"}
    assert [output["label_filename"] for output in config["output"]] == ["", "names.txt"]
    assert config["instance_group"][0]["kind"] == "KIND_GPU"


def test_the_three_version_policies_have_tritons_shape() -> None:
    parse = VersionPolicy.parse
    assert version_policy(parse("latest=2")) == {"latest": {"num_versions": 2}}
    assert version_policy(parse("all")) == {"all": {}}
    assert version_policy(parse("specific=1,3")) == {"specific": {"versions": [1, 3]}}
