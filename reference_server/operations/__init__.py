"""What the server does, one module per topic; every operation takes a `Call` and gives a response or a receiver."""
