"""A package that cannot be imported, as jsonschema takes it: it only checks IRIs, which no notebook holds.

JupyterLab brings the real one, which builds a grammar on import: two seconds of CPU in every process that reads or
writes a notebook.
"""

raise ImportError(__doc__)
