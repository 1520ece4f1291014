"""The profiling desk: a sidecar beside a running server that profiles it from outside, on loopback unless asked.

Each line imports only from those above it::

    guard         whom the desk answers
    heap          who holds the servers' memory, as their processes tell it (:mod:`grpclab.servers.agent`)
    metrics_page  what /metrics says
    page          the desk's first page
    app           the desk's pages
"""
