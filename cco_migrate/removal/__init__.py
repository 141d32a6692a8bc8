"""The hard cutover: the old proxy is taken out of a git repository, as a manifest says."""
