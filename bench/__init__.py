"""What a command and a stream cost, beside bare hops in the same run, by `scripts/bench`; see docs/performance.md.

No part of the road: it starts hub, agents and callers as processes of their own and looks at them from outside.
"""
