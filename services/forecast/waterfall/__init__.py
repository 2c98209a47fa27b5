"""What changed between two instants, and why: from the opening figure to the closing one in bars.

`attribution.py` is the rule, on plain arrays; `standings.py` makes these arrays of the book, `bars.py`
adds them up by node, `answers.py` answers requests.
"""
