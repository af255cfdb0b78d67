"""Tests of the renderers, fed with literal results lines that are first held against the schema."""
