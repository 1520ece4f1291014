"""The core of the load generator: when a call may start, what is recorded of it, how that becomes figures.

Each line imports only from those above it::

    call_order     the order in which the calls of a mix are made, drawn by their weights and a seed
    kept_answers   the answers that are kept of a load
    failures       why calls failed, in the words of the server or of the engine
    running        what a window shows while it runs
    recorder       what happened to each call
    recording      recordings of calls, as they are written and read
    stream_plan    what the client does in a stream after its start: messages at their times, and the end
    arrivals       when the calls of an open loop are due
    shapes         load shapes with an argument: gamma, bursts, ramps, steps, replay
    concurrency    a schedule of concurrency as a person writes it
    gate           when a call may start: warm-up, the measured window, and its end
    budget         what a worker may still send to a server on another machine, and the gate that keeps to it
    bounds         how a load is divided over its workers, and when its window opens and closes
    slices         the slices of a load: their lengths, their figures, and what cannot be measured in slices
    worker_window  the measured window of one worker: which calls are its own, when it ended, and its throughput
    hdr_slots      latencies as an HdrHistogram, which other tools read
    summary        from the record of calls to figures: throughput, percentiles, histogram, timeline
    merging        the figures of a window out of those of its parts, whose records stay where they are
    call_figures   the figures of each call of a mix
    traffic        what passed on a client's connections beside calls: connections, pings, GOAWAYs
"""
