"""A small, honest OBS: a second and independent reading of the documents, served over real HTTP.

Nothing in this package knows the engine, the cases or the reports: if both sides shared code, a misreading would
agree with itself.
"""
