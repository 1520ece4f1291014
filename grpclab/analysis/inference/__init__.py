"""Ratios within blocks, intervals, tests and verdicts.

Each line imports only from those above it::

    distribution  latencies of many trials as one distribution: HdrHistograms added up, never percentiles averaged
    edition       what a verdict asks for, by the edition that measured
    ratios        columns of trials, t intervals, sign flip, paired t, Holm
    random_effects  runs or machines as one estimate, with the spread between them
    core_speed    throughput at an even speed of the server's core
    pairing       the two sides of a comparison, paired within each group of each block
    sample_size   how many blocks a comparison takes, from its noise alone, and what so many can show
    evidence      what the looks at the server say, and how that changed
    functions     whose share of the samples changed
    interaction   whether a rung of the ladder gives the same on the way up as at the top
    scalability   the Universal Scalability Law, fitted to throughput over concurrency
    stability     drift over the blocks, blocks that stand apart
    interleaving  how many times narrower an interval is for the slices being interleaved
    validity      what limits a number
    verdict       a comparison and its verdict
    joint         several runs of one plan as one estimate
"""
