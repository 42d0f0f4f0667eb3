"""What the three networks of ATTENTION share: RNN over an intraday sequence -> one vector -> MLP -> orthogonal layer -> score.

    x (T, F, N) -> GRU or LSTM (F -> 32) -> [what the network's file adds: one vector per stock] (N, 32)
        -> Linear(32 -> 64), ReLU -> Linear(64 -> 32) -> orthogonal layer -> BN -> Linear(32 -> 1) -> score (N,)

The report gives no sizes but the 32 orthogonal factors of the house; the others are ours. The last layer of the MLP has no bias: the
orthogonal layer, or the batch norm, takes the mean out anyway. After the orthogonal layer the batch norm has nothing left to do.

Letters: T steps, F fields, N stocks, H hidden units, K orthogonal factors, E exposures.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import InvalidSpec, MissingData, sentence, unknown_name
from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.head import ScoreHead, linear_layer
from alpha_pipeline.models.orthogonal import check_cross_section, orthogonal_factors
from alpha_pipeline.models.recurrent import GRU, LSTM

RECURRENT: dict[str, type[GRU] | type[LSTM]] = {"gru": GRU, "lstm": LSTM}


@dataclass(frozen=True)
class IntradayConfig(NetworkConfig):
    """Settings that the three networks share.

    Attributes
    ----------
    tensor
        Name of the input: characteristics of each half hour, or ``chars_10m``, or bars such as ``intraday_15m``.
    n_fields
        Fields per step; None: as many as that tensor has.
    rnn
        ``"gru"`` or ``"lstm"``.
    n_hidden
        Units of the RNN.
    n_mlp
        Units of the MLP's inner layer.
    n_outputs
        Columns of the MLP's output, which the orthogonal layer makes orthogonal.
    orthogonal
        Whether there is an orthogonal layer; the network then compares the stocks of a date and needs whole dates.
    neutralize
        Whether that layer projects the columns off ``inputs["exposures"]`` first.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    tensor: str = "chars_30m"
    n_fields: int | None = None
    rnn: str = "gru"
    n_hidden: int = 32
    n_mlp: int = 64
    n_outputs: int = 32
    orthogonal: bool = True
    neutralize: bool = False
    learn_shift: bool = False

    def __post_init__(self) -> None:
        if self.rnn not in RECURRENT:
            raise unknown_name("recurrent layer", self.rnn, tuple(RECURRENT))
        if self.neutralize and not self.orthogonal:
            raise InvalidSpec(sentence("neutralize is a part of the orthogonal layer", where=type(self).__name__,
                                       got="neutralize=True, orthogonal=False", next_step="Set orthogonal=True."))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    @property
    def is_cross_sectional(self) -> bool:
        return self.orthogonal

    @property
    def needs_exposures(self) -> bool:
        return self.neutralize


class IntradayNetwork(Network):
    """RNN -> :meth:`summarize` -> MLP -> orthogonal layer -> BN -> Linear. A subclass says how states become one vector."""

    def __init__(self, config: IntradayConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.settings, self.where = config, type(config).__module__.rpartition(".")[2]
        self.n_fields = fields_of(config.tensor, config.n_fields)
        self.rnn = RECURRENT[config.rnn](self.n_fields, config.n_hidden, generator=generator)
        self.mlp = nn.Sequential(
            linear_layer(config.n_hidden, config.n_mlp, generator),
            nn.ReLU(),
            linear_layer(config.n_mlp, config.n_outputs, generator, bias=False),
        )
        self.head = ScoreHead(config.n_outputs, learn_shift=config.learn_shift, generator=generator)

    @abstractmethod
    def summarize(self, x_TFN: Tensor) -> Tensor:
        """One vector per stock (N, H) from the sequence, through ``self.rnn``."""

    def factors(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The columns (N, K) that the last linear unit adds up: mutually orthogonal if the configuration says so."""
        settings = self.settings
        (x_TFN,) = read_inputs(inputs, {settings.tensor: self.n_fields}, self.where)
        if settings.neutralize and "exposures" not in inputs:
            raise MissingData(sentence("the network needs the stocks' exposures", where=self.where, got=", ".join(inputs),
                                       expected="inputs['exposures']", next_step="Give the model exposures, or neutralize=False."))
        exposures_NE = inputs["exposures"] if settings.neutralize else None
        if settings.orthogonal:
            check_cross_section(x_TFN.shape[2], settings.n_outputs, exposures_NE, training=self.training, where=self.where)
        h_NK: Tensor = self.mlp(self.summarize(x_TFN))
        return orthogonal_factors(h_NK, exposures_NE) if settings.orthogonal else h_NK

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,). Raises NotEnoughData for a date with too few stocks for the orthogonal layer."""
        assert frozen is None, "this network has no frozen part"
        return self.head(self.factors(inputs))
