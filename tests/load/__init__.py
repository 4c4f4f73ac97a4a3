"""What viewers cost and how they fare, measured on the daemon as it is run: `python -m tests.load`.

Everything happens on loopback and ends by itself. The daemon has a process of its own, and so has the stock aiortc
sender that it is compared with; the viewers live in this one, decode nothing, and their own cost is told as well,
because they share the cores with what is measured.
"""
