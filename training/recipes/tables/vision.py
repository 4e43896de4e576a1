"""Recipes that read pictures."""

from training.recipes.registry import Recipe

_WORK = "training.tasks.image_classification:ImageClassificationWork"
_FORMATS = "--data: image folder, its .tar, .tar.gz or .zip, or a CSV of path,label[,split]"


def _image(
    network: str, summary: str, seconds: int, tiny: tuple[str, ...], own: tuple[str, ...] = ()
) -> Recipe:
    """A family of networks on shapes that are drawn on the spot."""
    return Recipe(
        name=f"image-{network}",
        summary=f"classify pictures: {summary}",
        modality="vision",
        data=f"none (drawn shapes); {_FORMATS}",
        expected_time_s=seconds,
        config=f"training.recipes.images:image_{network}",
        work=_WORK,
        own_data=(
            "gates.accuracy_floor=none",
            *(own or ("epochs=20", "batch_size=128", "validation_fraction=0.05")),
        ),
        tiny=("max_steps=8", "batch_size=16", "shapes.train=80", "shapes.test=20", *tiny),
    )


_CLOTH = (
    "none (drawn cloth); --data: folder or archive of good pictures, bad ones in folders beside"
)
_TINY_CLOTH = (
    "max_steps=6",
    "batch_size=8",
    "cpu_threads=1",
    "width=4",
    "memory=32",
    "surfaces.side=32",
    "surfaces.train=24",
    "surfaces.validation=8",
    "surfaces.test=12",
    "surfaces.bad=10",
)

RECIPES = (
    Recipe(
        name="digits",
        summary="recognise handwritten digits, or the classes of any image folder",
        modality="vision",
        data=f"none (scikit-learn digits); {_FORMATS}",
        expected_time_s=35,
        config="training.recipes.digits:digits",
        work=_WORK,
        own_data=(
            "gates.accuracy_floor=none",
            "image.fit=stretch",
            "epochs=10",
            "batch_size=128",
            "cpu_threads=0",
            "residual.width=16",
        ),
        tiny=("max_steps=20",),
    ),
    _image("mlp", "fully connected layers on pixels", 20, ("mlp.hidden=32",)),
    _image("lenet", "LeNet-5", 20, ()),
    _image("alexnet", "AlexNet", 40, ("alexnet.width=8", "alexnet.hidden=32")),
    _image("vgg", "VGG-11 to VGG-19", 40, ("vgg.width=8", "vgg.hidden=32")),
    _image(
        "resnet",
        "ResNet-9, -18, -34 or -50; the first choice for small photographs",
        75,
        ("resnet.width=8",),
        # On few small photographs many passes of a narrow network beat few of a wide one.
        ("epochs=30", "batch_size=128", "validation_fraction=0.05"),
    ),
    _image("inception", "GoogLeNet's Inception", 60, ("inception.width=0.1",)),
    _image(
        "efficientnet",
        "EfficientNet",
        60,
        ("efficientnet.width=0.25", "efficientnet.depth=0.3"),
        ("epochs=20", "batch_size=128", "efficientnet.width=1.0", "efficientnet.depth=1.0"),
    ),
    _image(
        "convnext",
        "ConvNeXt",
        75,
        ("convnext.width=8", "convnext.depths=1,1,1,1"),
        ("epochs=20", "batch_size=128", "convnext.width=48", "convnext.depths=2,2,6,2"),
    ),
    _image(
        "vit",
        "Vision Transformer",
        75,
        ("vit.width=24", "vit.layers=2"),
        (
            "epochs=40",
            "batch_size=128",
            "validation_fraction=0.05",
            "vit.width=192",
            "vit.layers=6",
            "vit.heads=3",
        ),
    ),
    _image("capsnet", "capsules with dynamic routing", 60, ("capsnet.width=8", "capsnet.maps=1")),
    _image(
        "pretrained",
        "fine-tune the transformers checkpoint that --pretrained names",
        30,
        ("epochs=2",),
        ("epochs=5", "batch_size=32"),
    ),
    _image(
        "pruned",
        "ResNet-9 that learns to do without half of its channels",
        110,
        ("resnet.width=8",),
        ("epochs=30", "batch_size=128", "validation_fraction=0.05"),
    ),
    _image(
        "distilled",
        "a small network that a large one teaches (teacher.source: a published model)",
        150,
        ("teacher.network=lenet", "teacher.epochs=1", "residual.width=4"),
    ),
    Recipe(
        name="detection",
        summary="find objects in pictures and box them in",
        modality="vision",
        data="none (drawn scenes of digits and shapes); --data: COCO JSON or YOLO txt with pictures",
        expected_time_s=180,
        config="training.recipes.detection:detection",
        work="training.tasks.object_detection:ObjectDetectionWork",
        own_data=("gates.accuracy_floor=none", "augment.flip_probability=0.5", "epochs=30"),
        tiny=(
            "max_steps=6",
            "batch_size=8",
            "cpu_threads=1",
            "scenes.side=64",
            "scenes.train=48",
            "scenes.validation=8",
            "scenes.test=16",
            "width=8",
            "features=16",
            "score_threshold=0.01",
        ),
    ),
    Recipe(
        name="segmentation",
        summary="tell the class of every pixel",
        modality="vision",
        data="none (drawn scenes of digits and shapes); --data: images/ and masks/ of equal names",
        expected_time_s=180,
        config="training.recipes.segmentation:segmentation",
        work="training.tasks.semantic_segmentation:SemanticSegmentationWork",
        own_data=("gates.accuracy_floor=none", "augment.flip_probability=0.5", "epochs=30"),
        tiny=(
            "max_steps=6",
            "batch_size=8",
            "cpu_threads=1",
            "scenes.side=64",
            "scenes.train=48",
            "scenes.validation=8",
            "scenes.test=16",
            "width=4",
        ),
    ),
    Recipe(
        name="image-embedding",
        summary="find pictures of the same thing: faces, products, signs",
        modality="vision",
        data=f"none (drawn emblems); {_FORMATS}; a class is an identity",
        expected_time_s=150,
        config="training.recipes.image_embedding:image_embedding",
        work="training.tasks.image_embedding:ImageEmbeddingWork",
        own_data=(
            "gates.accuracy_floor=none",
            "augment.flip_probability=0.5",
            "augment.invert_probability=0",
            "epochs=40",
        ),
        tiny=(
            "max_steps=6",
            "batch_size=16",
            "cpu_threads=1",
            "resnet.width=8",
            "dimensions=16",
            "emblems.identities=12",
            "emblems.validation=4",
            "emblems.test=8",
            "emblems.pictures=4",
        ),
    ),
    Recipe(
        name="visual-anomaly",
        summary="find defects, having seen good pictures only",
        modality="vision",
        data=_CLOTH,
        expected_time_s=60,
        config="training.recipes.visual_anomaly:visual_anomaly",
        work="training.tasks.visual_anomaly:VisualAnomalyWork",
        own_data=("gates.accuracy_floor=none",),
        tiny=_TINY_CLOTH,
    ),
    Recipe(
        name="visual-anomaly-autoencoder",
        summary="the same by redrawing pictures; weaker on textures",
        modality="vision",
        data=_CLOTH,
        expected_time_s=75,
        config="training.recipes.visual_anomaly:visual_anomaly_autoencoder",
        work="training.tasks.visual_anomaly:VisualAnomalyWork",
        own_data=("gates.accuracy_floor=none",),
        tiny=_TINY_CLOTH,
    ),
)
