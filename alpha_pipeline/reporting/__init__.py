"""Reports: tables beside the published ones, pictures, one self-contained HTML page, and a summary for the terminal.

Pure: everything arrives as plain frames in :class:`alpha_pipeline.reporting.inputs.ReportInputs`. ``html.render_report`` makes
the page, ``terminal.summary_table`` the terminal's summary, ``plots`` and ``images`` the small pictures of an asset's page.
Import from the module you need: the published tables (``published``) must load without the drawing libraries.
"""
