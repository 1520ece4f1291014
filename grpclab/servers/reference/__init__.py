"""The calibration server: answers after a drawn time, tells the truth about it, and misbehaves where it is asked to.

Each line imports only from those above it::

    client_limits  bounds on what clients can make the reference server hold and do
    disturbances   disturbances that keep to the protocol: stalls and errors
    faults         the misbehaving peer
    spec           the order to the reference server
    launcher       start the reference server as a child process
    service        the answers of the reference server, and their times
    protocol       one connection of the reference server
    serving        the reference server's process
    child          the reference server as a child process, spoken to as :mod:`grpclab.servers.process.child` is
    foreground     ``grpclab serve reference``: the calibration server in the foreground of a terminal

:mod:`disturbances` and :mod:`faults` are pure; :mod:`service` decides what is answered and when,
:mod:`client_limits` what clients can make it hold, :mod:`protocol` is one connection, :mod:`serving` the process.
"""
