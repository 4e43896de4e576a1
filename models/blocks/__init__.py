"""Preprocessing and postprocessing as data: the blocks of a manifest that say what a tensor means.

Each block is a frozen record chosen by its `kind`. Training writes them, `models.transforms` executes
them, and the service's task plug-ins read them; there is no second description anywhere.
"""

from models.blocks.postprocessing import (
    AnomalyPostprocessing,
    ClassificationPostprocessing,
    DetectionPostprocessing,
    EmbeddingPostprocessing,
    GenerationPostprocessing,
    ImagePostprocessing,
    Postprocessing,
    ReconstructionPostprocessing,
    ScorePostprocessing,
    SegmentationPostprocessing,
    SpanPostprocessing,
    TensorPostprocessing,
    TokenClassificationPostprocessing,
)
from models.blocks.preprocessing import (
    ClassConditionPreprocessing,
    DiffusionPreprocessing,
    ImagePreprocessing,
    Preprocessing,
    PromptPreprocessing,
    SourceTextPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)
from models.blocks.record import Record, RelativeFile

__all__ = [
    "AnomalyPostprocessing",
    "ClassConditionPreprocessing",
    "ClassificationPostprocessing",
    "DetectionPostprocessing",
    "DiffusionPreprocessing",
    "EmbeddingPostprocessing",
    "GenerationPostprocessing",
    "ImagePostprocessing",
    "ImagePreprocessing",
    "Postprocessing",
    "Preprocessing",
    "PromptPreprocessing",
    "ReconstructionPostprocessing",
    "Record",
    "RelativeFile",
    "ScorePostprocessing",
    "SegmentationPostprocessing",
    "SourceTextPreprocessing",
    "SpanPostprocessing",
    "TensorPostprocessing",
    "TensorPreprocessing",
    "TextPreprocessing",
    "TokenClassificationPostprocessing",
]
