"""Real servers and scripted peers for the tests; no asserts here."""
