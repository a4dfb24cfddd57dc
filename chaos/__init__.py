"""What becomes of commands when links break and processes are killed: `scripts/chaos`.

It starts a real hub, real agents on a real API server and a proxy between them that ill-treats the links, runs commands
by the hundred, kills processes, and then holds every accepted command against its result. No part of the road: it looks
at the programs from outside, through REST, /proc and, when the hub has stopped, the database file.

processes.py   hub and agents as processes that are killed and started again
levels.py      their open files and memory
rest.py        the REST API of a hub that may be away
samples.py     what the cluster holds, so that every output is known before
kinds.py       the commands, and what is wrong with an output
ledger.py      every command from its sending to its result; pure
caller.py      one command after the other, in all the manners there are to ask
follower.py    a live stream, left and taken up again
faults.py      what is done to the links
kills.py       kill -9 in a loop
scene.py       all of the above set up
phase.py       one fault under load, and what came of it
store.py       what lies in the database file
fleet.py       thousands of agents whose hub restarts; fleet_agents.py is their process
report.py      what a person reads
"""
