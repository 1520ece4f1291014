"""Diagnostics: a pprof and metrics server beside a running server (factor `server.desk`), on loopback unless asked.

Each line imports only from those above it::

    guard  the rule for the requests that are answered
    app    the pages: profile, flamegraph, memory, metrics
"""
