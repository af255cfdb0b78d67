"""obs-conformance: plays documented cases against an object-storage endpoint and judges the answers."""

__version__ = "0.1.0"
