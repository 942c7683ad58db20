"""The report of a mix: what it is, how it differs, why, how sure we are, and what it cost, as one page.

    PublishedMix --charts--> {name: Chart}      --page--> report.html, self-contained

`mixture`, `law` and `swarm` draw; `style` turns a figure into a part of the page or a picture of its own; `whatif` lays
the law into the page, where `whatif.js` evaluates it.
"""
