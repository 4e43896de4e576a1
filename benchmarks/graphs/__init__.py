"""The models that are measured: each module publishes one as a bundle, made on the spot."""
