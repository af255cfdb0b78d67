"""Everything that outlives a request: identities, keys, buckets, objects, uploads, and the bytes of bodies.

Floor of the package: `records` (values), `database` (SQLite), `blobs` (large bodies), then one module per table and
`bodies`, which turns streams into stored segments and back. None of it knows HTTP or who may do what.
"""
