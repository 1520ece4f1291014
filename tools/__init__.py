"""Tools of this repository alone, in no package that is installed.

guides        the numbers in README.md and docs/, out of the published example: ``make guides``
metrics_page  docs/metrics.md, made of the table of metrics: ``make guides``
"""
