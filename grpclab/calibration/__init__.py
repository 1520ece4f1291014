"""The lab measures itself: what its generator, its recorder, its link and this machine add to a number.

Each line imports only from those above it::

    claims        what must hold, and the table of whether it does
    disturber     a process that disturbs others on purpose
    disturbing    a window of load that is disturbed: the processes that do it, the ways to the server
    echo_peer     A process of the echo: sockets that are looked at without a pause, as fast as one core can
    neighbours    how much of the machine others used meanwhile
    plan          what a run is asked for, and the sizes that follow from it
    experiments   all of them, in the order in which they are read
    agreement     whether the two engines give the same verdict: basic against optimized servers, loaded by each
    crashes       A study that is killed again and again
    disturbances  disturbances inside the window, on purpose: does the result say what became of it?
    program       another program as a child that ends with us
    recording     what it costs to record a call: the recorder alone, in this process
    relay         what the emulated link adds of its own
    servers       what the lab is measured against
    ceiling       the ceiling of the generator: both engines and h2load, a generator in C, on a server in C.
    generators    the wire engine against h2load and ghz, on the same servers
    many_requests  what it costs to send another request with each call
    lateness      how late calls are sent, by rate and pacing, and what keeping the time costs
    memory        A worker's memory over a long run: bounded, and level
    procedure     the error rates of a whole comparison, from its pilot to its verdict, simulated
    simulation    what intervals and verdicts are worth, on simulated studies whose truth is known
    pairs         groups that are measured as a study does it, and the work that plants a difference
    resampling    comparisons of a server with itself, resampled: how often an interval holds 1
    interleaved_noise  the noise of one block, in interleaved slices and without
    sliced_stall  the reference server's stall in slices of an open loop, and in one window
    slice_edges   the edges of slices: planted differences in slices of three lengths and in one window
    deciding      verdicts that decide: whole comparisons by the command
    store         results/<name>/
    tails         a distribution by percentile, as numbers and on axes
    echo          this machine's own tail: a TCP echo between two pinned processes that do nothing but look
    stall         the stall
    truth         measured latency against the truth: how long each call really was inside the reference server
    verdicts      verdicts on this machine where the truth is known
    page          reports/<name>.html, out of what is stored

Every comparison is interleaved within one run and told as a ratio: absolute times are this machine's, on this day.
"""
