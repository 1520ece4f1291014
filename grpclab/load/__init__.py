"""The load generator: admission by clock, recording, summaries, engines, workers and their coordinator.

Each line imports only from those above it::

    core/         the core of the load generator
    reachability  why a target cannot be loaded
    calls/        what a call sends: its schema, its request, its metadata
    peer_probe    the settings that each side of a connection sends at its beginning
    engines/      implementations of the load generator, by name
    plan          a configuration and a call out of the levels and options given
    run           one measured window: its figures, and whether the generator was its limit
    slo           objectives: limits of latency, errors and rate that a load has to keep
    steps         a schedule of rates
    watching      the machine, and the processes of a measurement, watched while its window is open
    generator     the coordinator of the workers: spawn, connect, start at one moment, collect
    ceiling       how many calls a process of the load generator can make on this machine, whatever the server
    worker        a generator process: one engine on one event loop, controlled by JSON lines
    result        the result of loading one server: its figures, its grade, and what became of the objectives
    output/       what a load test prints and writes, and the files that configure it
    bench         ``grpclab bench``: load one running server
"""
