"""The graph. One file per step of the method; every asset body calls one function of :mod:`alpha_pipeline.pipeline`."""
