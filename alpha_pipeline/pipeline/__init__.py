"""What each step of the method reads, computes and writes, free of any orchestrator.

The assets of the graph call exactly one function of this package each; tests and scripts may call them directly. Every function takes a
:class:`~alpha_pipeline.pipeline.workspace.Workspace`, a spec and partition keys, skips what is already current, and returns counts and facts
for the metadata of the asset.
"""
