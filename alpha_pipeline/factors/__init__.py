"""Single-factor tests: neutralisation, information coefficients, layers, turnover, correlation. Arrays in, frames out."""
