"""Every figure that the project promises, measured beside a reference in the same run.

`python -m benchmarks` makes a lake of a nation once, measures, and prints one table. The ratio is
what counts: seconds depend on the machine. Nothing of the package imports this.
"""
