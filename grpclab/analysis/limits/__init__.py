"""Which resource limited a configuration, and how one knows.

Each line imports only from those above it::

    rules      the rules by which a resource counts as what limited a configuration
    resources  the limiting resource of each configuration
"""
