"""This machine and its processes, files and terminals: nothing that knows gRPC calls or studies.

Each line imports only from those above it::

    address_space  how much memory this process may have (``ulimit -v``)
    addresses      what may stand for a server's address, and the rule that load goes to this machine only
    arguments      what programs and notebooks pass in
    bounded        files that somebody else may have written
    dialling       what a target stands for on this machine
    channels       every gRPC channel of this package is opened here
    frames         data frames in Parquet files
    inputs         A user's own files: where they are looked for, and the text in them
    interrupts     SIGINT
    notices        Notices: what the reader of a figure should know of how it came about, as values
    open_files     how many files a process may have open: each connection is one
    environment    facts of the machine and of what is installed
    optional       what is installed only with an extra of this package, and the command that installs it
    pacing         waking up at a moment, finer than an event loop's own timers
    procfs         what the kernel says of a process: CPU time over all its threads, memory, TCP connections
    accounting     what the kernel has counted so far of this machine and of some processes
    registry       what can be added by name, by a table here or by another package's entry points
    subprocesses   child processes that never outlive their parent, and say what they have to say in JSON lines
    surroundings   what happened around a measurement while it was taken
    temporary      temporary folders that end with their process
    paths          where things are
    terminal       standard output and standard error: the one place where text leaves for a terminal
    tether         start a program that the kernel ends with its parent
    programs       programs of others as children that end with the block
"""
