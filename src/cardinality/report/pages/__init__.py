"""Pages to browse: every protocol's results as one HTML file, and the same as Markdown.

`content` and what it calls collect everything that a page says, from the records alone, into the
plain shapes of `shapes`; `html` and `markdown_page` render them, `figures` draws, `write` puts the
files in place and `serve` shows them while a grid is running.
"""
