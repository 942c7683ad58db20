"""The method of Olmix: from domains of text to a data mixture. Never imports Prefect."""
