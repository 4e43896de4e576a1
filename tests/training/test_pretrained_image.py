"""Checkpoints as image backbones: what they say of their pictures is believed, misfits are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import UsageError
from training import recipes
from training.errors import DataError
from training.networks.image_backbone import BackboneClassifier
from training.pretrained_image import load_image_backbone
from training.sample_image_checkpoint import write_sample_backbone
from training.settings import with_settings
from training.tasks.image_classification import ImageClassificationWork
from training.tasks.image_settings import ImageConfig


def _vit() -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    return ViTForImageClassification(config)


def _convnext() -> Any:
    from transformers import ConvNextConfig, ConvNextModel

    return ConvNextModel(ConvNextConfig(hidden_sizes=[4, 8, 12, 16], depths=[1, 1, 2, 1]))


def _resnet() -> Any:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
    )


@pytest.mark.parametrize(
    ("make", "features", "groups"), [(_vit, 16, 4), (_convnext, 16, 6), (_resnet, 16, 3)]
)
def test_any_image_network_of_the_library_becomes_features(
    make: Any, features: int, groups: int, tmp_path: Path
) -> None:
    make().save_pretrained(tmp_path)
    checkpoint = load_image_backbone(str(tmp_path))
    backbone = checkpoint.backbone.eval()
    with torch.no_grad():
        given = backbone(torch.randn(2, 3, 32, 32))
    assert given.shape == (2, checkpoint.features) == (2, features)
    layers = backbone.layer_groups()
    assert len(layers) == groups
    listed = [id(weight) for group in layers for weight in group]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(weight) for weight in backbone.parameters()}
    head = BackboneClassifier(checkpoint, 5).layer_groups()[-1]
    assert [tuple(weight.shape) for weight in head] == [(5, features), (5,)]


def test_the_weights_are_the_checkpoints(tmp_path: Path) -> None:
    network = _resnet().eval()
    network.save_pretrained(tmp_path)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network.resnet(image).pooler_output.flatten(1)
        given = load_image_backbone(str(tmp_path)).backbone.eval()(image)
    torch.testing.assert_close(given, expected)


def test_side_mean_and_deviation_come_from_the_checkpoint(tmp_path: Path) -> None:
    write_sample_backbone(tmp_path, seed=0, side=48)
    checkpoint = load_image_backbone(str(tmp_path))
    assert checkpoint.side == 48
    assert checkpoint.mean == (0.485, 0.456, 0.406)
    settings = checkpoint.image_settings(ImageConfig())
    assert (settings.side, settings.channels) == (48, "RGB")
    assert checkpoint.image_settings(ImageConfig(side=64)).side == 64
    with pytest.raises(UsageError, match=r"image\.channels=L"):
        checkpoint.image_settings(ImageConfig(channels="L"))


def test_a_transformer_keeps_its_side(tmp_path: Path) -> None:
    _vit().save_pretrained(tmp_path)
    checkpoint = load_image_backbone(str(tmp_path))
    assert checkpoint.image_settings(ImageConfig()).side == 32
    with pytest.raises(UsageError, match=r"image\.side=64: the vit in .* takes pictures of 32"):
        checkpoint.image_settings(ImageConfig(side=64))


def test_what_does_not_read_pictures_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    tiny = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    BertModel(tiny).save_pretrained(tmp_path / "bert")
    with pytest.raises(DataError, match="a bert model does not read pictures"):
        load_image_backbone(str(tmp_path / "bert"))
    write_sample_backbone(tmp_path / "odd", seed=0)
    (tmp_path / "odd" / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5]}))
    with pytest.raises(DataError, match=r"preprocessor_config\.json: image_mean must hold three"):
        load_image_backbone(str(tmp_path / "odd"))
    with pytest.raises(UsageError, match="no such folder"):
        load_image_backbone(str(tmp_path / "nowhere"))


def test_the_recipe_takes_the_named_checkpoint_and_states_its_normalisation(
    tmp_path: Path,
) -> None:
    write_sample_backbone(tmp_path, seed=3, side=24)
    settings = [f"pretrained.source={tmp_path}", "shapes.train=40", "shapes.test=10"]
    config = with_settings(recipes.get("image-pretrained").build_config(), settings)
    work = ImageClassificationWork(config, None)
    work.prepare()
    assert work.images.block.mean == (0.485, 0.456, 0.406)
    assert (work.images.side, work.images.channels) == (24, 3)
    assert str(tmp_path) in work.data_summary()["network"]


def test_own_pictures_want_a_checkpoint_by_name(tmp_path: Path) -> None:
    config = recipes.get("image-pretrained").build_config(own_data=True)
    with pytest.raises(UsageError, match="name a checkpoint, --pretrained"):
        ImageClassificationWork(config, tmp_path).prepare()
