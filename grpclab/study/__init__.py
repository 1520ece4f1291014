"""Studies: their design, the trial, the runner that executes one notebook for each trial, and the store.

Each line imports only from those above it::

    comparison     the result of a comparison of two: a table and a verdict, for the terminal and for notebooks
    profile_window  why a configuration is as fast as it is: the profilers, beside the measured window and after it
    kernel         one IPython kernel, kept warm over many notebooks; each finds a clean one
    engine         the papermill engine that keeps one kernel warm
    trial_progress  progress in plain lines: done, of how many, time left
    target         what a trial measures when it is not our greeter: a target, and a call of one's own
    carried        what is carried between machines: the folders of targets, and the files of a group
    sides          the two sides of a comparison
    trial_kernel   the process of a study's kernel
    values         a plain value as papermill, YAML or the command line give it, taken as what it can mean
    parameters     the parameters of a study
    designs/       the designs of studies: which configurations are measured and compared
    request_files  the data files of a study, whose requests stay the same
    documents      the JSON files of a study: written whole or not at all, read within bounds
    window         what a trial keeps of its measured window: metrics, and the frames of latencies and of time
    model          what manifest.json and result.json hold, as values
    machines       the machines of a cluster: their names, their cores, and what they have in common
    origin         where a manifest comes from: sealed by this user on this machine, or from somewhere else
    stored_values  the reader of what is stored: types and bounds are checked on the way into the model
    stored_groups  the groups of a study as they are stored, and the slices of their members
    collection     the stored trials of a study together: one frame, and what a report shows beside it
    trial_folders  the folders of a study's trials and groups: whole or not at all
    block_count    how many blocks a study has, by the noise of its first ones
    wall_budget    how much of a study fits into a budget of wall time, by costs and noise
    program_watch  the programs of a study's servers: a configuration is measured with one
    store          the folder of a study: trials whole or not at all
    fitting        what the stored first blocks fix: the plan that a budget leaves, the number of blocks
    trial_result   what a trial brings, and the files that it leaves in its folder
    server_programs  the programs behind the servers of a study, read at every start
    stand_ins      what stands in for other parties beside a server: a collector of traces, a scraper of metrics
    set_up         the server, the generator and the link of one configuration, up and connected
    trial_notes    what is noted of a configuration before its load and after it
    trial          one trial alone
    passes         the passes over a group: who is visited, in which order, how often
    slice_account  what the servers of a group used in the slices and between them
    group_result   the members of a group, and what its measurement brought: group.json and slices.parquet
    yardstick_loop  the yardstick's process on one core: a small fixed loop, timed again and again
    yardstick      how fast the server's cores are while slices run
    running_member  a member of a group while the group is measured
    sliced_passes  the slices of the members of a group, pass by pass
    group          one group measured
    remaining      what of a study with groups is still to be measured
    run_watch      what is told of a study while it runs, and when it stops because its trials fail
    block_steps    which group of a block is measured next
    rates          the rate of a design's open loops, measured before the plan
    trial_order    a trial as it is ordered: written as the variables of ``trial.ipynb``, read and measured there
    group_order    a group as it is ordered: by a study, or as the variables of ``trial.ipynb``
    block_child    the process on a worker of a cluster that measures a group
    block_task     the task of a Dask worker that measures a group
    manifests      the manifest of a study that is about to begin
    measured_study  the run of a study: group after group, what is missing of it
    spread_blocks  the blocks of a study on the machines of a cluster
    runner         the engine room of a study, for ``notebooks/sweep.ipynb`` and ``grpclab study`` alike
    comparing_study  the study of two sides: its plan, its manifest, and trials that need no notebook
    stored_comparison  ``grpclab compare`` of two stored results
    comparing      ``grpclab compare``
    revision_walk  the search for the first slow one among revisions in their order
    bisection      ``grpclab bisect``: the first commit that is slower than a good one
    pilot          a few blocks that do not count, and what their noise says: ``--plan`` of a study or a comparison
    repeat         ``grpclab study --repeat``
    joint_runs     a joint verdict over the runs of one plan
    rejudging      ``grpclab report --rejudge``
"""
