"""The zoo. A network is one file that names its source; this is the one list of them.

To add one: write the file (a frozen configuration and a :class:`~alpha_pipeline.models.contract.Network`), list it here, run
``pytest alpha_pipeline_tests/test_model_zoo.py``. What a network must do is in ``contract.py``.
"""

from alpha_pipeline.models.alphanet_v1 import AlphaNetV1
from alpha_pipeline.models.alphanet_v2 import AlphaNetV2
from alpha_pipeline.models.alphanet_v3 import AlphaNetV3
from alpha_pipeline.models.attention_residual import AttentionResidual
from alpha_pipeline.models.attention_rnn import AttentionRnn
from alpha_pipeline.models.attention_self import AttentionSelf
from alpha_pipeline.models.contract import Network, NetworkConfig, Stage, network_config
from alpha_pipeline.models.factor_agru import FactorAgru
from alpha_pipeline.models.factor_gru import FactorGru
from alpha_pipeline.models.factor_lstm import FactorLstm
from alpha_pipeline.models.factor_restcn import FactorRestcn
from alpha_pipeline.models.factor_transformer import FactorTransformer
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
    "alphanet_v1": AlphaNetV1,
    "alphanet_v2": AlphaNetV2,
    "alphanet_v3": AlphaNetV3,
    "factor_gru": FactorGru,
    "factor_agru": FactorAgru,
    "factor_lstm": FactorLstm,
    "factor_restcn": FactorRestcn,
    "factor_transformer": FactorTransformer,
    "attention_rnn": AttentionRnn,
    "attention_self": AttentionSelf,
    "attention_residual": AttentionResidual,
}

__all__ = ["NETWORKS", "Network", "NetworkConfig", "Stage", "network_config"]
