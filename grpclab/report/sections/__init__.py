"""The sections of a report, a module each: its title, its anchor, and `section`, which writes it as HTML.

:data:`grpclab.report.content.ORDER` lists them as they are read.

    again           how to measure the study again, and its trials to take away
    answer          the verdict in a sentence, what its words mean, the numbers it stands on, and how sure it is
    claims          the claims of the Rust demo as a table: what was done, what came of it, and the verdict
    comparisons     every comparison of the study: the forest plot, and a table with all that is known of each
    configurations  every configuration with the settings that set it apart, and its level
    engines         what the client costs: the same servers loaded by both engines
    idle            silent connections: how long until a call succeeds again
    interleaving    what was measured together, slice by slice, and what alone and why
    invalid         the trials that do not count
    ladder          what each rung gives on the way up and at the top, and why it is kept or not
    latency         percentiles of latency over a factor, and how the latencies of the headline are distributed
    limits          what limited each configuration, and what would lift that limit
    machine         on what the study was measured
    mapping         what became of each setting of the Rust demo
    method          what was done, and by which rules it was judged
    offered         latency over the offered rate of an open loop
    profile         what each look at the server says, with the change between the two sides
    flamegraphs     flamegraphs of the compared configurations, and the functions whose shares differ most
    question        the question that a study asks, and what a comparison called, how, and of which servers
    sides           what each side gives: the changes of server and client apart, and both together
    sweeps          one factor at a time
    throughput      throughput over a factor, usually the concurrency, and what the Universal Scalability Law says of it
    timeline        every trial in the order in which it ran
    waiting         handlers that wait and handlers that do not
    warnings        what is to be known before a number of the study is used
    windows         throughput over the size of the HTTP/2 windows
"""
