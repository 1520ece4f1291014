"""The calibration server: answers after a drawn time, tells the truth about it, and misbehaves where it is asked to.

:mod:`disturbances` and :mod:`faults` are pure; :mod:`service` decides what is answered and when,
:mod:`bounds` what clients can make it hold, :mod:`protocol` is one connection, :mod:`serving` the process.
"""
