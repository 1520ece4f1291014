"""The sections of a report: one section, one module with its data, one template with its HTML.

A module of this room is a section; the first line of its docstring says what the section is about, and
:data:`grpclab.report.content.ORDER` finds it. It has

    TITLE    its heading
    ANCHOR   its name within the page; its template is ``templates/grpclab/sections/<ANCHOR>.html.j2``
    PLACE    where it is read: the sections come in the order of these numbers
    FOLDED   whether a page shows its heading alone until it is opened

and ``section(study)``, which returns what the template shows as `it`: a frozen value, a piece of
:mod:`grpclab.report.tables`, or a list of pieces; None where the study has nothing that it is about. Every medium makes
its own of this one value: the page and the notebook by the template, the JSON field by field.
"""
