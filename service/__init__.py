"""The inference service: bundles in, HTTP out."""
