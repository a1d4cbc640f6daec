"""The only rooms that speak to the outside: engine, Compose, Toxiproxy, HTTP, PostgreSQL, clock."""
