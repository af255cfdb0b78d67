"""Renders results files for people and for build servers.

Knows results files, described in results.schema.json, and what they are turned into.
Does not know how a run is made, what a case file looks like, or any endpoint: results of anybody,
of any day, are rendered without a network.
"""
