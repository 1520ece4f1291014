"""A study for its readers, a module for each medium.

markdown      Markdown for a pull request
terminal      a table for a terminal
json          plain values for a machine
html          one page that loads nothing, with the study inside
figure_files  every figure as a file of its own
"""
