"""The zoo. A network is one file that names its source; this is the one list of them.

To add one: write the file (a frozen configuration and a :class:`~alpha_pipeline.models.contract.Network`), list it here, run
``pytest alpha_pipeline_tests/test_model_zoo.py``. What a network must do is in ``contract.py``.
"""

from alpha_pipeline.models.contract import Network, NetworkConfig, Stage, network_config
from alpha_pipeline.models.gru_attention import GruAttention
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.models.gru_incremental import GruIncremental
from alpha_pipeline.models.gru_intraday import GruIntraday
from alpha_pipeline.models.gru_mixed import GruMixed

NETWORKS: dict[str, type[NetworkConfig]] = {
    "gru_daily": GruDaily,
    "gru_intraday": GruIntraday,
    "gru_attention": GruAttention,
    "gru_mixed": GruMixed,
    "gru_incremental": GruIncremental,
}

__all__ = ["NETWORKS", "Network", "NetworkConfig", "Stage", "network_config"]
