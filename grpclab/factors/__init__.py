"""The factors: the one table of what can be set, and what becomes of a level.

Each line imports only from those above it::

    service_time     the time that a call takes or waits: a constant or a distribution, ``5ms``, ``lognormal:2ms,0.5``
    registries       the registries whose names are levels of a factor: engines, load shapes
    levels           a factor, which levels it takes, how a word becomes one and how one is written
    own              the factors that a user brings: arg.NAME, env.NAME, and those of the target
    implementations  the servers that can be under a service, and the factors that each one lacks
    config           the factors: every knob of the server, the client, the load and the link, in one table
    client_features  what a client does beside sending calls: retries, load balancing, a circuit breaker
    defaults         the variants in words; load, ports and budget where nobody asks for others
    channel_args     the one table from factor to grpcio's channel argument
    tonic            the table "from tonic to grpcio"
    effective        factors that did not take effect
    features         the features of a production service
    variants         the named configurations
"""
