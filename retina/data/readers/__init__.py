"""One file per layout on disk: `<layout>(folder, card) -> Recording`."""
