"""What is translated between a call and a Realtime server. Sans-IO."""
