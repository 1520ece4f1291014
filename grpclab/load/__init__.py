"""The load generator: admission by clock, recording, summaries, engines, workers.

Each line imports only from those above it::

    core/               the core of the load generator
    reachability        the reasons why a target cannot be loaded
    calls/              the content of a call: its schema, its request, its metadata
    peer_probe          the settings that each side of a connection sends at its beginning
    call_answer         the answer to a single call
    service_client      a look at a service: its schema, and single calls with all that an answer carries
    engines/            implementations of the load generator, by name
    worker_messages     the messages between the load generator and its worker processes
    generator_limits    whether the generator was the limit of a window, in words
    run                 one measured window: its figures, and whether the generator was its limit
    compression         whether compression took effect, by what a load sent and by the answers that came
    slo                 objectives: limits of latency, errors and rate that a load has to keep
    plan_rules          the rules between the factors of a load
    mix                 the call of a load that is a mix of several
    replay              the call of a load that is a recording
    plan                a configuration and a call out of the levels and options given
    steps               a schedule of rates
    record              the calls that pass to a server, recorded on their way
    worker_usage        the resources that a worker has used up to a moment, and what it does beside a load
    sliced_worker       the slices of one worker
    workers             the processes of the load generator: started, connected, given windows
    interference_watch  the watch of the machine while a window is open
    slice_parts         one slice of the parts of all workers, and one window of the slices of one
    local_ports         the local ports that connections for single calls use up
    sliced_load         the slices of one configuration: ordered from its workers, and assembled to one run
    generator           one load on one target, measured in windows that all workers begin at the same moment
    ceiling             the calls that a process of the load generator can make on this machine, whatever the server
    worker              a generator process: one engine on one event loop
    machine_worker      a generator process on one machine of a cluster, as an actor of Dask
    cluster_figures     the part of each machine in a load from a cluster
    cluster_processes   the generator processes of a cluster: started, connected, asked for news
    cluster_window      one window that the processes of a cluster measure, and how it ended
    cluster_losses      the processes of a cluster that are lost, and what becomes of the load
    machine_parts       one window out of the parts of the machines of a cluster
    cluster_rules       what the machines of a cluster cannot share of a load
    cluster_collection  the parts of a window collected from the processes of a cluster
    cluster_load        one load from the machines of a cluster, which begin at the same moment
    result              the result of loading one server: its figures, its grade, and what became of the objectives
    output/             the output of a load test, printed and written, and the files that configure one
    bench_windows       the windows of a bench, one for each rate
    bench_result        the result of a load test, as text, in a notebook or as a frame
    bench               ``grpclab bench``: load one running server
"""
