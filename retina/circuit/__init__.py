"""Mechanistic parts, one file each: equation, citation, parameters with bounds.

Photoreceptors: `phototransduction`, `dynamical_adaptation`, `van_hateren`,
`linear_photoreceptor`. Outer retina: `horizontal`, `pedicle`, `coupled`, `bipolar`,
`biphasic`. Inner retina: `adapting_membrane`, `leaky_rectifier`, `bipolar_network`,
`contrast_gain`, `slow_gain`, `kinetics`, `integrate_and_fire`. Between them:
`synapses`. Each cuts its bin into sub-steps short enough for its equation (`substeps`).
"""
