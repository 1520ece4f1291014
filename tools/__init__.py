"""What serves this repository alone and is in no package that is installed.

guides  the numbers in README.md and docs/, out of the published example: ``make guides``
"""
