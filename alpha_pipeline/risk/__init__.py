"""Risk model: styles (compact price-volume ones and the ten of CNE5), factor returns, covariance, specific risk."""
