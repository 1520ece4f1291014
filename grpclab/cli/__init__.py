"""The command line: one module a command.

Each line imports only from those above it::

    bench      the command line of ``grpclab bench``
    compare    the command line of ``grpclab compare``: its options, the two sides, the table, the exit code
    doctor     what this machine can and cannot measure well, and what to do about it
    notebook   ``grpclab notebook``
    parser     the parser of every command
    profile    ``grpclab profile``: where a running Python process spends its time, and a flamegraph of it
    reference  the command line of ``grpclab serve reference``: what only the calibration server can be asked for
    study      the command lines of ``grpclab study`` and ``grpclab report``
    commands   the command line: thin
"""
