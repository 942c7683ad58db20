"""The report of a mix: charts, and one page with its gain, its mixture, its law, its swarm and its cost.

    PublishedMix --charts--> {name: Chart}      --report_html--> report.html, self-contained

`mixture`, `law`, `swarm` and `tradeoffs` draw figures; `style` turns them into parts of a page or pictures; `whatif`
collects data from which the page evaluates the law; `markdown` makes tables and pictures for artifacts.
"""

from olmix_core.report.charts import Chart, charts, plot
from olmix_core.report.page import report_html
from olmix_core.report.whatif import WhatIf

__all__ = ["Chart", "WhatIf", "charts", "plot", "report_html"]
