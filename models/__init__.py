"""The bundle contract between training and service: what is on disk, how it gets there, how it is read.

Start with `manifest` (what a bundle says), then `publish` (how one is written) and `bundle` (how one is
read). Importing this package needs numpy and pydantic only; `models.transforms` also needs Pillow and
tokenizers, because it executes the preprocessing that a manifest describes.
"""
