"""A server as a process: how it starts, what it says, how it ends.

Each line imports only from those above it::

    filling          the words of a command: split first, filled afterwards with the port and the plan's arguments
    program          the program behind a server's command
    server_messages  the messages between a server's process and the process that started it
    exposure         the address on which a server is to listen, and who can then reach it
    collector        a stand-in for an OpenTelemetry collector beside a server that sends spans
    scraper          a stand-in for Prometheus that reads the metrics of a server
    serving          serving in one process: listen, say so, answer until told to stop, drain, say what was served
    health           gRPC's health service of a server, as a client sees it
    server_log       the log of a server: its head and its tail are kept
    readiness        when a server is ready: it listens, its log says so, or its health service
    process_tree     the process of somebody's command, with all that it starts
    preparation      the commands beside a server: before each start, and after each stop
    command          a server that somebody's command starts, as a child process of ours
    launcher         start a server as a child process, be sure it is the one that answers, and leave nothing behind
    parent           several server processes on one port: the parent starts them, watches them, and stops them
    sidecar          the diagnostics server beside a server, and the folder of its counters
    child            a server as a child process: how the launcher, and the parent of several processes, start one
    foreground       ``grpclab serve``: a server in the foreground of a terminal
"""
