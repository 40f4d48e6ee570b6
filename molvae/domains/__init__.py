"""Kinds of matter, each a ``Domain``. Only ``build`` and ``catalog`` name them."""
