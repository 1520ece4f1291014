"""The lab measures itself: what its generator, its recorder, its link and this machine add to a number.

The layout, each module importing only from those above it::

    plan            what a run is asked for, and the sizes that follow from it
    claims          what must hold, and the table of whether it does
    tails           a distribution by percentile, as numbers and on axes
    neighbours      how much of the machine others used meanwhile
    program         another program as a child that ends with us
    targets         what is measured against: nghttpd, the reference server
    disturber       a process that disturbs others on purpose
    ceiling, truth, stall, lateness, recording, memory, relay, echo, agreement, disturbances
                    one experiment each: parameters -> tidy frame -> claims and figure
    experiments     all of them, in the order in which they are read
    store           results/<name>/
    page            reports/<name>.html, out of what is stored
    notebook        what the cells of calibration.ipynb call

Every comparison is interleaved within one run and told as a ratio: absolute times are this machine's, on this day.
"""
