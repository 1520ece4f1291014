"""The sections of a report and the tables in them.

Each line imports only from those above it::

    album          all figures as files
    confidence     how sure, and what limits each side, in words
    glossary       the lab's own words, each with what it means
    scalability    what the Universal Scalability Law says of throughput curves with levels enough
    tables         one function a table
    claims         the claims of the Rust demo as a table
    decisions      why a rung of the ladder is kept or rejected
    evidence       what each look at the server says
    flamegraphs    flamegraphs of the compared configurations, and the functions whose shares differ most
    leave_one_out  the ladder from its top
    method         how it was measured, on what, how to do it again
    settings       what became of each setting of the Rust demo
    waiting        handlers that wait and handlers that do not
"""
