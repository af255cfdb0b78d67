"""The history of many runs: a store, what can be asked of it, and a site over it. Needs the extra ``history``."""
