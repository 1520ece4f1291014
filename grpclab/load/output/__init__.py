"""The output of a load test, printed and written, and the files that configure one.

Each line imports only from those above it::

    chart          A small line chart as inline SVG: latency on a log axis over something
    histogram      a histogram of latencies in equal steps
    ghz_terms      a bench result in ghz's terms: options, units, percentiles, texts of errors
    call_columns   the calls of a bench result as columns, by start, and as CSV
    call_table     the figures of each call of a mix, as a table
    cluster_table  the generator processes of a load from a cluster, as a table
    step_table     the steps of a schedule of rates, as a table
    formats        A bench result as JSON in ghz's schema.
    ghz_config     the keys of a ghz configuration in the words of ``bench``
    config_file    ``--config FILE``
    notebook_html  HTML in the output of a notebook cell
    progress       the lines that say how a running load, and the encoding of its requests, are doing
    render         the summary of a bench result for a terminal
    html           A bench result in a notebook
    exporters/     the formats in which a bench result is written: one module a format
"""
