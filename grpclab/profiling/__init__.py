"""Where the time goes: py-spy, perf, strace, the kernel's accounting; and the families of work."""
