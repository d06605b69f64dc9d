"""Virtual networks: a bridge, its addresses, dnsmasq and rules of their own."""
