"""Steps performed by the daemon (or the SDK) on the host's side, before and after the guest's first process is born."""
