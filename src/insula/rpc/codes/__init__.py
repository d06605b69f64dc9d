"""libvirt's numbers that only the wire speaks, one module a subject: a short-lived program imports only what it uses.

    domaincodes        what the way to a domain is busy with
    requestcodes       flags and kinds of domain calls
    eventcodes         domain events
    connectioncodes    features, authentication, the host
    absentcodes        pools, volumes, node devices
    nativecodes        flags of our own program

A flag set of 0 is spelled `StartFlags(0)`; members that libvirt has for 0 are left out.
"""
