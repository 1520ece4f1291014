"""Text: what others wrote is made harmless, and secrets are taken out. Nothing of this package is imported.

Each line imports only from those above it::

    printable    text that somebody else wrote, made harmless for a terminal
    markdown     plain text as GitHub's Markdown
    pages        HTML out of templates, in which every value is escaped
    credentials  the rules for secret values, and those that this process knows
    redaction    placeholders for secrets in files, reports and outputs
"""
