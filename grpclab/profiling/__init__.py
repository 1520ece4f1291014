"""Where the time goes: py-spy, perf, strace, the kernel's accounting; and the families of work.

Each line imports only from those above it::

    families    from stacks to families of work: send, receive, wait, locks, ... decided by the leaf of each stack
    profiler    what a profiler is, and the registry of those that look at a server after its window
    perf        ``perf record`` as a child process
    pprof       pprof's ``Profile`` message (github.com/google/pprof, proto/profile.proto), gzipped
    processes   which processes a profile looks at: those that run Python, of what a process id or a port names
    pyspy       py-spy as a child process: sample some processes for a while, keep the stacks and what went wrong
    speedscope  folded stacks in the file format of speedscope (https://www.speedscope.app/file-format-schema.json)
    stacks      folded stacks made fit to be looked at
    flamegraph  folded stacks as flamegraphs in HTML: click to zoom, type to search, nothing is loaded
    strace      ``strace -c -f`` as a child process: system calls by name, over every thread
    threads     kernel accounting: what each thread used, told by the kernel itself and summed by thread name
"""
