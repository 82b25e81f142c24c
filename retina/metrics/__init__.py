"""One file per metric: a function of the file's name, (rate, response) -> (cell,).

A metric that compares with the training mean has an argument null_rate, one that needs
seconds bin_s; further arguments have defaults. Higher is better, so that one rule holds
in `compare` and `frontier`; a distance is therefore told as what is gained. A file may
also offer SUMS (see `retina.metrics.sums`): its bootstrap is then exact and fast.
"""
