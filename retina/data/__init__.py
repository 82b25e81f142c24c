"""From a card to a recording to a split."""
