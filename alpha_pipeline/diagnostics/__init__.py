"""What a factor and a portfolio are exposed to, and what that has cost: the diagnostics of RISKCONTROL and the weekly table of ATTENTION."""
