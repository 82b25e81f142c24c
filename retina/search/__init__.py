"""Many fits: experiments, jobs, the frontier."""
