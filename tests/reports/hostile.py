"""Replies that try to be more than text, one for each way in."""

from __future__ import annotations

HOSTILE = {
    "script": "<script>window.__pwned = 1; alert(1)</script>visible-script",
    "image": "<img src=x onerror='window.__pwned = 2'>visible-image",
    "markdown": "![tracker](http://127.0.0.1:9/pixel.png) [click](javascript:window.__pwned=3) **bold** visible-markdown",
    "latex": "$\\frac{a}{b}$ and $$\\sum_i x_i$$ visible-latex",
    "directives": ":red[red text] :material/skull: :blue-background[x] :rainbow[y] :smile: visible-directives",
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J visible-ansi",
    "bidi": "safe \u202e}gnp.exe{\u202c visible-bidi",
    "frame": "<iframe srcdoc='<script>parent.__pwned=4</script>'></iframe><style>body{display:none}</style>visible-frame",
    "link": "<a href='javascript:window.__pwned=5' id='injected'>x</a><svg onload='window.__pwned=6'></svg>visible-link",
    "unclosed": "</div></section></details><h1 id='injected'>visible-unclosed",
}
