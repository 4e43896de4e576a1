"""TensorRT's shapes follow from the manifest."""

import pytest

from models.blocks import TensorPostprocessing, TextPreprocessing
from models.datatypes import DataType
from models.manifest import Batching, ManifestDraft
from models.runtimes.graph import Sizes
from models.runtimes.onnxruntime.profiles import ShapeProfile, profile_of
from tests.service.graphs import spec

PICTURE = spec("x", DataType.FLOAT, ["batch", 3, 224, 224])
IDS = spec("ids", DataType.INT64, ["batch", "sequence"], pad_axes=("sequence",))
MASK = spec("mask", DataType.INT64, ["batch", "sequence"], pad_axes=("sequence",))


def test_pictures_vary_in_their_batch_alone() -> None:
    found = profile_of([PICTURE], Sizes(16))
    assert found is not None
    assert ShapeProfile.text(found.names, found.least) == "x:1x3x224x224"
    assert ShapeProfile.text(found.names, found.best) == "x:16x3x224x224"
    assert ShapeProfile.text(found.names, found.most) == "x:16x3x224x224"


def test_allowed_sizes_are_the_range() -> None:
    found = profile_of([PICTURE], Sizes(64, (4, 8, 32)))
    assert found is not None
    assert (found.least[0][0], found.best[0][0], found.most[0][0]) == (4, 32, 32)


def test_texts_are_fastest_at_a_usual_length() -> None:
    found = profile_of([IDS, MASK], Sizes(8, longest={"sequence": 512}))
    assert found is not None
    assert ShapeProfile.text(found.names, found.least) == "ids:1x1,mask:1x1"
    assert ShapeProfile.text(found.names, found.best) == "ids:8x128,mask:8x128"
    assert ShapeProfile.text(found.names, found.most) == "ids:8x512,mask:8x512"


def test_inputs_of_fixed_shape_need_no_profile() -> None:
    fixed = spec("scale", DataType.FLOAT, [1], batch_axis=None)
    found = profile_of([PICTURE, fixed], Sizes(2))
    assert found is not None
    assert found.names == ("x",)
    assert profile_of([fixed], Sizes(2)) is None


def test_an_axis_of_unknown_length_leaves_it_to_the_provider() -> None:
    """It wants all varying inputs in a profile, or none."""
    free = spec("boxes", DataType.FLOAT, ["batch", "count", 4])
    assert profile_of([PICTURE, free], Sizes(8)) is None


@pytest.mark.parametrize(
    ("most", "allowed", "wanted"),
    [(8, (), ()), (8, (4, 2, 16), (2, 4)), (2, (4, 8), (4,))],
    ids=["any", "within the limit, in order", "all beyond the limit"],
)
def test_sizes_follow_the_manifest_as_the_batcher_does(
    most: int, allowed: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    draft = ManifestDraft(
        name="m",
        task="tensor",
        inputs=(IDS, MASK),
        outputs=(spec("y", DataType.FLOAT, ["batch", 2]),),
        preprocessing=TextPreprocessing(max_tokens=128),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=most, allowed_batch_sizes=allowed),
    )
    assert Sizes.of(draft) == Sizes(most, wanted, {"sequence": 128})
