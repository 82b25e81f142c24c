"""One file per method: a fit and its recording -> a smaller model with parameters."""
