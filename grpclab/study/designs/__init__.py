"""The designs of studies: which configurations are measured and compared.

Each line imports only from those above it::

    design              what designs are made of: configurations, comparisons, the order of the trials
    scenario            what a scenario is, and the registry of them
    chatter_scenario    the scenario ``chatter``: many small calls
    bulk_scenario       the scenario ``bulk``: large messages on one connection
    idle_scenario       the scenario ``idle``: its load, its link, and the ways to configure keepalive
    waiting_scenario    the scenario ``waiting``: handlers that wait, and how many threads that takes
    expected_times      how long slices and trials last, as far as factors tell it
    grouping            which configurations are measured together
    leave_one_out       the ladder from its top
    single_steps        one setting at a time: the ladder, its rungs from the top, sweeps
    default_design      the designs ``default`` and ``quick``
    compare_design      the design of ``grpclab compare``: two sides, one question
    desk_design         the design ``desk``: what counting calls and a profiling desk beside the server cost it
    production_design   the design ``production``: what each feature of a production service costs
    file_tables         the tables of a TOML file beside its factors: target, call, scenario
    study_file          the TOML file of a study of one's own as a value
    file_targets        the target, the calls and the workloads of such a file
    file_production     the design ``production`` on the application that such a file names
    file_design         the design that such a file describes
    idle_design         the design of the scenario ``idle``: what keepalive is for
    replication_design  the design ``replication``: claims of a demo in Rust

A design is registered in :data:`grpclab.study.parameters.DESIGNS`, a scenario in :data:`.scenario.SCENARIOS`.
"""
