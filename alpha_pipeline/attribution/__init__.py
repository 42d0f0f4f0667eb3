"""Where an active return came from: country, industries, styles, stock selection, trading, cost."""
