"""The back end `realtime`: joins a call to a server that speaks the Realtime protocol over WebSocket."""
