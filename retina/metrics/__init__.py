"""One file per metric: a function of the file's name, (rate, response) -> (cell,).

A metric that compares with the training mean has a third argument, null_rate. A file
may also offer SUMS (see `retina.metrics.sums`): its bootstrap is then exact and fast.
"""
