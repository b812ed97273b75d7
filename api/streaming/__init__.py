"""Live streams: from lines, files and sockets to a running decision, with state carried over for ever."""
