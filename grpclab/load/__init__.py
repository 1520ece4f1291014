"""The load generator: admission by clock, recording, summaries, engines, workers and their coordinator.

Its map::

    core/         the core of the load generator
    reachability  why a target cannot be loaded
    calls/        what a call sends: its schema, its request, its metadata
    engines/      implementations of the load generator, by name
    peer_probe    what each side of a connection says at its beginning
    plan          from what was asked for to a configuration and a call
    run           what one measured window brought, and whether the generator was its limit
    slo           Thresholds
    steps         A schedule of rates
    watching      watches the machine, and the processes of a measurement, while its window is open
    generator     the coordinator of the workers: spawn, connect, start at one moment, collect
    ceiling       how many calls a process of the load generator can make on this machine, whatever the server
    worker        A generator process: one engine on one event loop, told what to do in JSON lines
    bench         ``grpclab bench``: load one running server and say what was seen
    output/       what a load test prints and writes, and the files that configure it
"""
