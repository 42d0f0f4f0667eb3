"""Facts of the market: table schemas, the trading calendar, dated rules, adjustment, universes."""
