"""A study for its readers, a module for each medium.

Each line imports only from those above it::

    terminal      plain text for a terminal
    markdown      Markdown for a pull request
    json          plain values for a machine
    html          one page that loads nothing, with the study inside
    figure_files  every figure as a file of its own
"""
