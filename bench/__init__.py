"""What a command costs: the hub beside a bare aiohttp hop, in one run, by `scripts/bench`; see docs/performance.md.

No part of the road: it starts hub, agents and callers as processes of their own and looks at them from outside.
"""
