"""Where the time goes: py-spy, perf, strace, the kernel's accounting; and the families of work.

Each line imports only from those above it::

    families    from stacks to families of work: send, receive, wait, locks, ... decided by the leaf of each stack
    threads     what each thread used, told by the kernel itself and summed by thread name
    profiler    the two kinds of profilers, and the registry of both: beside the measured window, and after it
    perf        ``perf record`` as a child process
    pprof       pprof's ``Profile`` message (github.com/google/pprof, proto/profile.proto), gzipped
    processes   which processes a profile looks at: those that run Python, of what a process id or a port names
    pyspy       py-spy as a child process: sample some processes for a while, keep the stacks and what went wrong
    speedscope  folded stacks in the file format of speedscope (https://www.speedscope.app/file-format-schema.json)
    stacks      folded stacks made fit to be looked at
    flamegraph  folded stacks as flamegraphs in HTML: click to zoom, type to search, nothing is loaded
    strace      ``strace -c -f`` as a child process: system calls by name, over every thread
    proc        the kernel's accounting of a server's threads, beside the measured window
"""
