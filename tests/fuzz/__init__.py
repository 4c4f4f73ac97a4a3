"""Everything that strangers may send, mutated without end: `python -m tests.fuzz --minutes N`.

The daemon's own objects run in this process (`daemon.app.App` with one small camera), so that an exception which
nobody catches is seen wherever it ends up: in the loop's handler, in the log, in a warning.
"""
