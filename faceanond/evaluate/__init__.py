"""`faceanond evaluate`: how many labelled faces came out uncovered, and how much else was hidden.

`truth` reads the labels, `coverage` looks at the pictures, `tally` counts, `report` tells, `judge` puts them behind a
pipeline in the place of an encoder. Nothing here asks the detector or a tracker what it thinks that it did.
"""
