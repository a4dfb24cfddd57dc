"""What runs commands: `base.py` says what an executor is, `native/` asks the API server itself, `kubectl.py` spawns the
kubectl binary.
"""
