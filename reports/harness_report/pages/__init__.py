"""One module for each page; `draw()` draws it."""
