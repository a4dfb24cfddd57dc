"""What runs commands: `base.py` says what an executor is, `kubectl.py` is the one that spawns the kubectl binary."""
