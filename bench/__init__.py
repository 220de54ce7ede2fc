"""Measures OnceKV: side by side, in one run, against what else could have done the same.

`python -m bench` prints the table, and writes it with its figures (JSON) and plots (SVG) to `out/bench/`;
`python -m bench concurrency` does the same for threads against events. It knows the server by its command line, HTTP
and client only, but for one thing: large stores are filled by SQL (`prefill`), which makes a million calls affordable.

Guarantee: no figure is made up. What could not be measured says so, and why; replies that are not answers do not count.
Limit: everything shares one machine with the load generator, so figures are ratios within one run.
"""
