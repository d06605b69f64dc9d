"""libvirt's numbers that only the wire speaks, one module a subject: a short-lived program imports only what it uses.

    domain        what the way to a domain is busy with
    requests      flags and kinds of domain calls
    events        domain events
    connection    features, authentication, the host
    secondary     networks, pools, volumes, node devices

A flag set of 0 is spelled `StartFlags(0)`; members that libvirt has for 0 are left out.
"""
