"""What the transceiver is held against: programs that echo, and the doors to those."""
