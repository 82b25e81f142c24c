"""What arrays of a recording are called, as patterns of small letters."""

WORDS = {
    "stimulus": r"stim|movie|frames?$|image|light|flicker|video|contrast",
    "counts": r"count|binned|resp|psth|spikes?$|raster",
    "spike_s": r"spike_?(s|t|time)|spk|spiketimes|time_s",
    "cell": r"cell|unit|neuron|cluster|ids?$",
    "trial": r"trial|repeat|rep$",
    "starts": r"start|begin|onset|trigger|time",
    "onsets": r"onset|frame_?t|flip|trigger|ttl|timestamp|^time$|/time$|t_stim",
}
# Of one number for each frame, where nothing else is a stimulus.
FULL_FIELD = r"intens|lumin"
