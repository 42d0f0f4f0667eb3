"""Where market data come from. One protocol (:mod:`base`), one module per source; vendor field names stop here."""
