"""This machine and its processes, files and terminals: nothing that knows gRPC calls or studies.

Each line imports only from those above it::

    inputs        values and files that users pass in, or one line that says what was expected
    addresses     how a server's address is written, and the rule that load goes to this machine only
    dialling      the loopback addresses that a target stands for, and connections to them
    channels      the one place where gRPC channels are opened
    untrusted     files that somebody else may have written, read within bounds
    parquet       data frames in Parquet files
    interrupts    SIGINT, SIGTERM and SIGHUP as one exception that unwinds
    ulimits       what the system allows a process: open files, memory, processes
    environment   the machine and what is installed, for manifests and ``grpclab doctor``
    optional      what is installed only with an extra, and the command that installs it
    pacing        waking up at a moment, more precisely than an event loop's timers
    procfs        one process from outside: CPU time, memory, TCP connections
    accounting    the kernel's counts of CPU time, waiting, throttling and pressure, read before and after
    notices       what the reader of a figure should know of how it came about
    interference  what disturbed a measurement while it was taken, from two readings of the counts
    registry      what can be added by name, in a table here or by another package's entry points
    json_lines    messages between processes of this package: frozen dataclasses, each one line of JSON
    subprocesses  Python modules as child processes that end with their parent and speak JSON lines
    tether        the small program that starts another and lets the kernel end it with its parent
    programs      other people's programs as child processes that end with the block
    temporary     temporary folders that end with their process
    paths         the folder of results and reports, and the notebooks in the package
    terminal      standard output and standard error, without secrets and escape sequences
"""
