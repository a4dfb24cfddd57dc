"""What every request passes, outermost first: request_id, audit, errors, auth, ratelimit. Then the body is validated
and the handler runs.
"""
