"""Processes on many machines, on Dask ``distributed`` (extra ``cluster``): who the workers are, and who measures there.

Each line imports only from those above it::

    slot          the one measurement that a Dask worker process does at a time
    clocks        how far the clocks of other processes are from this one's
    connection    a Dask cluster: opened or joined, its workers checked
    local_worker  a Dask worker as a child process of this one
"""
