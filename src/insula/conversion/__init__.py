"""Other programs' configuration of containers, both ways: their documents to domains, and domains to their documents.

Nothing here opens a file: whoever asks hands over all texts there are. What has no equivalent becomes a finding.
"""
