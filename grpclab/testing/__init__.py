"""Tools for testing a plug-in: an engine, a load shape, a design or a profiler.

Each line imports only from those above it::

    virtual      an event loop and a pacer with a clock of their own, in which waiting takes no time
    fake_target  a server in this process that answers immediately, late, or with an error
    synthetic    a study whose trials are simulated with known effects (it needs the extra ``study``)

:func:`fault_server` is a server in a separate process that misbehaves on request; its faults are those of
``grpclab serve reference``::

    from grpclab.testing import FaultSpec, fault_server

    with fault_server(FaultSpec(fault="goaway:100")) as server:
        ...  # server.target
"""

from grpclab.servers.reference.launcher import launch_reference as fault_server
from grpclab.servers.reference.spec import ReferenceSpec as FaultSpec
from grpclab.testing.fake_target import FakeTarget, ReceivedCall, fake_target

__all__ = ["FakeTarget", "FaultSpec", "ReceivedCall", "fake_target", "fault_server"]
