"""libvirt's numbers, one module a subject, so that a short-lived program imports only what it uses.

    domain        states, reasons, jobs
    requests      flags and kinds of domain calls
    events        domain events and their details
    connection    features, authentication, the host
    secondary     networks, pools, volumes, node devices

A flag set of 0 is spelled `StartFlags(0)`; members that libvirt has for 0 are left out.
"""
