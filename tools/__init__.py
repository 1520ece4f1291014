"""Tools of this repository alone, in no package that is installed.

docs_site     the documentation as a site: hooks of mkdocs, ``make docs``
guides        the numbers in README.md and docs/, out of the published example: ``make guides``
metrics_page  docs/metrics.md, made of the table of metrics: ``make guides``
reference     the reference of that site, generated from the code
release       whether a tag may be released: version, changelog, citation and repository agree
schemas       the JSON Schemas of what a study stores, and of study files: ``make guides``
words         the wording of what people read: ``make check``
"""
