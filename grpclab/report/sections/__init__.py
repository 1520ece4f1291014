"""The sections of a report: one section, one module.

A module of this room is a section; the first line of its docstring says what the section is about, and
:data:`grpclab.report.content.ORDER` finds it. It has

    TITLE    its heading
    ANCHOR   its name within the page
    PLACE    where it is read: the sections come in the order of these numbers
    FOLDED   whether a page shows its heading alone until it is opened

and ``section(study)``, which returns what stands below the heading, or None if the study has nothing to show there: a
piece of :mod:`grpclab.report.tables`, a figure, a :class:`~grpclab.report.tables.Composed` value that
consists of these, or a list of them. Every medium (HTML, notebook, Markdown, terminal, JSON) makes its own of this one
value. A section that needs HTML of its own names its template, ``sections/<name>.html.j2``, as the `TEMPLATE` of a
composed value; the other media show the `pieces` of that value.
"""
