"""A picture inside the page: the SVG of a figure as an element that follows the page's theme.

What matplotlib writes is made for a file of its own. Here its names become the picture's own, its style stays inside
it, and every colour becomes a variable of the page: ``#1f2933`` is ``var(--c1f2933)``, something else in the dark.
:func:`palette` defines those that a page uses; :func:`alone` turns a picture back into a file.
"""

from __future__ import annotations

import colorsys
import hashlib
import re

_PROLOGUE = re.compile(r"\A.*?(?=<svg\b)", re.DOTALL)
_DEFAULTS = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'\sid="([^"]*)"')
_USE = re.compile(r'(?<=href="|..url\()#([A-Za-z][\w.-]*)(?=[)"])')
_PAINT = re.compile(r'\b(fill|stroke)="#([0-9a-fA-F]{6})"')
"""Only a style may hold a variable; matplotlib writes these attributes on elements without one, in hatches."""
_COLOUR = re.compile(r"(?<=: )#([0-9a-fA-F]{6})\b(?=[;\"])")
_VARIABLE = re.compile(r"var\(--c([0-9a-f]{6})\)")

ROUND = "stroke-linejoin:round;stroke-linecap:butt"
"""matplotlib's own defaults, which it writes as a rule for every element of the document."""


def inline(svg: str) -> str:
    """The SVG of a file as an element inside HTML. Text in it stays text: matplotlib has escaped it."""
    body = _METADATA.sub("", _DEFAULTS.sub("", _PROLOGUE.sub("", svg)))
    prefix = f"p{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    used = set(_USE.findall(body))
    body = _ID.sub(lambda match: f' id="{prefix}{match[1]}"' if match[1] in used else "", body)
    body = _USE.sub(lambda match: f"#{prefix}{match[1]}" if match[1] in used else match[0], body)
    body = _PAINT.sub(r'style="\1: #\2"', body)
    body = _COLOUR.sub(lambda match: f"var(--c{match[1].lower()})", body)
    body = re.sub(r"\n\s*", "\n", re.sub(r"<!--.*?-->|<g>\s*</g>", "", body, flags=re.DOTALL)).strip()
    first, _, rest = body.partition(">")
    box = re.search(r'viewBox="[^"]*"', first)
    return f'<svg {box[0] if box else ""} style="{ROUND}" aria-hidden="true">{rest}'


def alone(element: str) -> str:
    """An element of :func:`inline` as a file, in the colours of light."""
    return _as_file(with_colours(element))


def _as_file(element: str) -> str:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return element.replace("<svg ", f"<svg {names} ", 1).replace(' aria-hidden="true"', "", 1)


def themed(element: str) -> str:
    """An element of :func:`inline` as a file that follows the colour scheme of where it is shown as an image."""
    used = sorted(set(_VARIABLE.findall(element)))
    light = "".join(f"--c{colour}:#{colour};" for colour in used)
    dark = "".join(f"--c{colour}:{in_the_dark(colour)};" for colour in used)
    sheet = f"<style>svg{{--paper:#171e26;{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    opening, _, rest = _as_file(element).partition(">")
    return f"{opening}>{sheet}{rest}"


def with_colours(element: str) -> str:
    """The same with the colours of light instead of the page's variables."""
    return _VARIABLE.sub(lambda match: f"#{match[1]}", element)


def palette(body: str) -> str:
    """The definitions of all colours that the pictures in `body` use, for a style sheet."""
    used = sorted(set(_VARIABLE.findall(body)))
    return "".join(f"--c{colour}:light-dark(#{colour},{in_the_dark(colour)});" for colour in used)


def in_the_dark(colour: str) -> str:
    """The colour (``1f2933``) that plays the same part on a dark ground: greys change places, others become lighter."""
    if colour == "ffffff":
        return "var(--paper)"
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    grey = saturation < 0.25 or light > 0.85
    light = 0.91 - 0.79 * max(0.0, light - 0.16) / 0.84 if grey else 0.45 + 0.45 * light
    saturation = min(saturation, 0.25) if grey else min(saturation, 0.85)
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, light, saturation))
