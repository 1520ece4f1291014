"""Tools for the tests of a plug-in: for whoever adds an engine, a load shape, a design or a profiler.

Each line imports only from those above it::

    virtual      an event loop and a pacer on a clock of their own: waiting takes no time
    fake_target  a server in this process that answers at once, late, or with an error
    synthetic    a study whose trials are drawn from effects that are known (it needs the extra ``study``)

A server that misbehaves on request is :func:`fault_server`, a process of its own; its faults are those of
``grpclab serve reference``::

    from grpclab.testing import FaultSpec, fault_server

    with fault_server(FaultSpec(fault="goaway:100")) as server:
        ...  # server.target
"""

from grpclab.servers.reference.launcher import launch_reference as fault_server
from grpclab.servers.reference.spec import ReferenceSpec as FaultSpec
from grpclab.testing.fake_target import FakeTarget, ReceivedCall, fake_target

__all__ = ["FakeTarget", "FaultSpec", "ReceivedCall", "fake_target", "fault_server"]
