"""What of a host, and of the appliance on it, is not as it should be: `tandem doctor`."""
