"""temporary"""

from retina import resources


def local(card, name=""):
    return resources.cache() / card.name
