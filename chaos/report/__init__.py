"""The report: one HTML file that shows a run, drawn from the files in the run's folder and from nothing else.

    evidence (files) → labels, plots, proof, sequence, order (pure) → page (templates, one file)

Guarantee: the file opens from `file://`, loads nothing, and everything taken from evidence is escaped. Limit: it
shows what the files say; a file that is missing is shown as missing, never made up for.
"""
