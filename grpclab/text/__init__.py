"""Text: what others wrote is made harmless, and secrets are taken out. Nothing of this package is imported.

Each line imports only from those above it::

    printable  text that somebody else wrote (a server, a report that was sent), made harmless for a terminal
    redaction  Credentials: which values are secret, and what stands in files, reports and outputs in their place
"""
