"""A day of traffic in, what the scaling policy of the templates makes of it out: latency, refusals, hours and cost."""
