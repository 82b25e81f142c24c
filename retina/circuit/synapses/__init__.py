"""The synapse ladder: one file a rung, all with the interface of `synapse.Synapse`.

From one add per spike (`delta`) to vesicle pools and synapses of dozens of states.
Rungs compose: `conductance(nmda(alpha(...)))`, `tsodyks_markram(alpha(...))`.
`price.price` counts what a rung costs per step and per event; `driven.driven` makes a
Stage of it, `gated.gated` one of a graded rung and the gate before it.
"""
