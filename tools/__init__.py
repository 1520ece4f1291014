"""Tools of this repository alone, in no package that is installed.

guides        the numbers in README.md and docs/, out of the published example: ``make guides``
metrics_page  docs/metrics.md, made of the table of metrics: ``make guides``
release       whether a tag may be released: version, changelog, citation and repository agree
schemas       the JSON Schemas of what a study stores, and of study files: ``make guides``
words         the wording of what people read: ``make check``
"""
