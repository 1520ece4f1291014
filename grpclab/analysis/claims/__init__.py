"""Published claims, and what became of them when they were measured anew.

Each line imports only from those above it::

    claim           what a claim is, and how its verdict comes about
    load_claims     the claims of the Rust demo about a server under load
    network_claims  the claims of the Rust demo about connections and the network: keepalive, no-delay, windows
    replication     what became of them
"""
