"""From raw tables to network inputs: dense panels, lazy standardized windows, labels."""
