"""Training: from data to a published bundle. Begin with `training.pipeline`."""
