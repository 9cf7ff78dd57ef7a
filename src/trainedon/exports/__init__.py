"""The numbers of a run for other programs: tables as CSV and LaTeX, figures as SVG and PDF. Reads files alone."""
