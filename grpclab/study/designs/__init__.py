"""The designs of studies: which configurations are measured and compared.

Each line imports only from those above it::

    idle_scenario       the scenario ``idle``: its load, its link, and the ways to configure keepalive
    leave_one_out       the ladder from its top
    waiting_scenario    the scenario ``waiting``
    design              the design of a study: which configurations, which comparisons, in which order
    compare_design      the design of ``grpclab compare``: two sides, one question
    desk_design         the design ``desk``: what counting calls and a profiling desk beside the server cost it
    file_design         A study of one's own, described in a TOML file
    idle_design         the design of the scenario ``idle``: what keepalive is for
    replication_design  the design ``replication``
"""
