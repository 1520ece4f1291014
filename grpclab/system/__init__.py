"""This machine and its processes, files and terminals: nothing that knows gRPC calls or studies.

Each line imports only from those above it::

    inputs        values and files that users pass in, or one line that says what was expected
    addresses     the notations of a server's address, and the rule that load goes to this machine only
    transport     the security of connections: TLS, whom it trusts, and the names it goes by
    dialling      the loopback addresses that a target stands for, and connections to them
    allowance     what may be sent to a server on another machine at most
    grpc_log      grpcio imported so that its part in C writes no log of its own
    channels      the one place where gRPC channels are opened
    untrusted     files that somebody else may have written, read within bounds
    parquet       data frames in Parquet files
    interrupts    SIGINT, SIGTERM and SIGHUP as one exception that unwinds
    ulimits       the limits of a process: open files, memory, processes
    json_fields   fields of values that are stored as JSON: which are always written
    environment   the machine and what is installed, for manifests and ``grpclab doctor``
    optional      libraries that only an extra installs, and the command that installs it
    event_loop    the event loop of processes that move bytes
    pacing        waking up at a moment, more precisely than an event loop's timers
    procfs        one process from outside: CPU time, memory, TCP connections
    listeners     the processes behind a target, and the connections to it
    accounting    the kernel's counts of CPU time, waiting, throttling and pressure, read before and after
    notices       notices for the reader of a figure on how it came about
    interference  the interference with a measurement, from two readings of the counts
    registry      tables of what can be added by name, here or by another package's entry points
    json_lines    messages between processes of this package: frozen dataclasses, each one line of JSON
    subprocesses  Python modules as child processes that end with their parent and speak JSON lines
    tether        the small program that starts another and lets the kernel end it with its parent
    programs      other people's programs as child processes that end with the block
    temporary     temporary folders that end with their process
    paths         the folder of results and reports, and the notebooks in the package
    repository    a git repository: revisions, history, worktrees, the identity of files that are not committed
    virtual_environments  virtual environments with some packages over those of another interpreter
    terminal      standard output and standard error, without secrets and escape sequences
"""
