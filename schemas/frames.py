"""The frames of the agent link, protocol version 2: one class per frame, and the limits both sides keep.

A frame is one JSON text message whose `type` names its class, for example
`{"type": "cancel", "result_id": "res_…", "reason": "session closed"}`. Fields a side does not know are ignored, so
that a newer peer may add some. `codec.py` turns frames into text and back; docs/protocol.md describes them for people
who write an agent of their own.
"""

from typing import Annotated, Final, Literal

import msgspec

# Version 1 had no `credit` and took up no command again: a broken link ended what ran. Each side speaks with a peer
# that is one version older as that version did.
PROTOCOL_VERSION: Final = 2
OLDEST_PROTOCOL_VERSION: Final = 1
RESUMING_VERSION: Final = 2
SUBPROTOCOL: Final = "kubently.agent.v1"
CONNECT_PATH: Final = "/agent/connect"
# The cluster the agent believes to be of, on the upgrade request, so that a mix-up is a 403 and not a broken link.
CLUSTER_HEADER: Final = "X-Kubently-Cluster"

# `max_output_bytes` of a command whose output is not cut.
UNBOUNDED: Final = 2**53
# How far a command's output may be ahead of its credit, unless the welcome says otherwise.
WINDOW_BYTES: Final = 256 * 1024
# What a frame counts in the window beside the bytes of its data, so that many small ones cost what they take.
FRAME_OVERHEAD_BYTES: Final = 512

# Output in one frame, counted in UTF-8 bytes: small enough that a heartbeat is never stuck behind one for long.
MAX_DATA_BYTES: Final = 64 * 1024
# One message on the wire. JSON writes a control character as six (`\u001b`), so 64 KiB of data may become 384 KiB.
MAX_FRAME_BYTES: Final = 512 * 1024
# Load balancers cut sockets that are idle for 60 s, so each side speaks at least this often.
MAX_HEARTBEAT_INTERVAL_SECONDS: Final = 20.0
# A side that heard nothing for this many intervals takes the link for dead.
HEARTBEATS_MISSED: Final = 2.5

ResultId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
ShortText = Annotated[str, msgspec.Meta(max_length=256)]
RuleName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,32}\Z")]
Message = Annotated[str, msgspec.Meta(max_length=8192)]
# "full" is stdout before the contract; see Contract.max_full_bytes.
Stream = Literal["stdout", "stderr", "full"]
ExitStatus = Literal["completed", "failed", "timeout", "cancelled", "refused"]


class Chunk(msgspec.Struct, frozen=True):
    """A piece of one stream's text, at most MAX_DATA_BYTES in UTF-8; never half of a character."""

    stream: Stream
    data: str


class Contract(msgspec.Struct, frozen=True):
    """What of a command's stdout its caller wants; the agent applies it before anything travels.

    The lines that match the regular expression `grep` (RE2 syntax), of them the last `tail_lines`, of these the first
    `max_lines`, and of those at most `Run.max_output_bytes`. None: no such rule. `max_full_bytes`: so much of stdout
    before all these rules goes along as stream "full"; 0: nothing.
    """

    grep: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    tail_lines: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    max_full_bytes: Count = 0


class Held(msgspec.Struct, frozen=True):
    """A result the agent still holds when it says hello: running, or ended and not acknowledged."""

    result_id: ResultId
    last_seq: Seq
    is_running: bool


# hub -> agent


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="type"):
    """The hub's answer to `hello`: the terms of this link.

    `resume` says for each held result up to which sequence number the hub has it, 0 for nothing, so that the agent goes
    on behind it; None means the hub does not know the result or has ended it, and the agent ends and forgets it.
    `max_concurrent_streams` bounds the commands with `is_stream`, `max_concurrent_commands` the others. `window_bytes`
    is how far each command's output may be ahead of its credit.
    """

    hub_version: ShortText
    heartbeat_interval_seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_HEARTBEAT_INTERVAL_SECONDS)]
    max_concurrent_commands: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    protocol_version: int = PROTOCOL_VERSION
    resume: dict[ResultId, Seq | None] = {}
    max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 16
    window_bytes: Annotated[int, msgspec.Meta(ge=MAX_DATA_BYTES, le=64 * 1024 * 1024)] = WINDOW_BYTES


class Run(msgspec.Struct, frozen=True, tag="run", tag_field="type"):
    """A command to execute. `args` is the canonical argv behind `command_type`; the agent parses it once more.

    `is_stream`: it goes on until it is ended, and each piece of its output is sent as it comes. A stream that reaches a
    bound of its contract is ended as completed; any other command goes on, so that what is left out is counted.
    """

    result_id: ResultId
    command_type: ShortText
    args: list[str]
    timeout_seconds: Seconds
    max_output_bytes: Count
    correlation_id: ShortText | None = None
    is_stream: bool = False
    contract: Contract | None = None


class Cancel(msgspec.Struct, frozen=True, tag="cancel", tag_field="type"):
    """Ends one command. The agent answers with its terminal frame, or ignores a result it does not hold."""

    result_id: ResultId
    reason: ShortText


class Ack(msgspec.Struct, frozen=True, tag="ack", tag_field="type"):
    """What the hub has stored: for each result the highest sequence number; the agent may forget up to there."""

    results: dict[ResultId, Seq]


class Credit(msgspec.Struct, frozen=True, tag="credit", tag_field="type"):
    """How far output has gone on: of each result everything up to a number. It never takes credit back.

    A command whose output is `Welcome.window_bytes` ahead of its credit waits. At first, and after a resume, the credit
    is what the hub has.
    """

    results: dict[ResultId, Seq]


class Drain(msgspec.Struct, frozen=True, tag="drain", tag_field="type"):
    """The hub is stopping: no new commands come, the agent dials again after the (already jittered) delay."""

    reconnect_after_seconds: Seconds
    reason: ShortText


# agent -> hub


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """The agent's first frame. `boot_id` is new with every agent process, so the hub can tell a restart from a cut.

    `executors` maps each executor to what it runs, for example `{"kubectl": "v1.33.1"}`; `policy` is what the
    cluster's owner allows (`schemas/policy.py`), `labels` what the cluster is to be found by (`schemas/labels.py`),
    of any length here: what is no label costs an agent its labels, not its link.
    """

    cluster_id: ShortText
    agent_version: ShortText
    boot_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    protocol_version: int = PROTOCOL_VERSION
    kubernetes_version: ShortText | None = None
    executors: dict[ShortText, ShortText | None] = {}
    policy: dict[ShortText, msgspec.Raw] = {}
    held: list[Held] = []
    labels: dict[str, str] = {}


class Output(msgspec.Struct, frozen=True, tag="output", tag_field="type"):
    """One chunk of a running command. Numbers start at 1 and grow by one over both streams together."""

    result_id: ResultId
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    stream: Stream
    data: str


class Exit(msgspec.Struct, frozen=True, tag="exit", tag_field="type"):
    """The terminal frame, exactly one per command, with whatever output no `output` frame has carried yet.

    `chunks` take the numbers from `seq` on. `exit_code` is None when no process ended by itself (timeout, cancel,
    refusal). `output_bytes` counts all of stdout before its contract; `omitted_bytes` and `omitted_lines` what of it
    stream "stdout" does not carry. `is_truncated`: a bound was met, not only lines left out that `grep` did not want;
    None of an agent of version 1, which knows no contract. `error` says in one sentence why a command that did not run
    or did not end by itself ended; it is not stderr. `redactions` says how often each rule hid something, by its name:
    `{"secret": 2}`.
    """

    result_id: ResultId
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    status: ExitStatus
    exit_code: Annotated[int, msgspec.Meta(ge=-256, le=256)] | None = None
    chunks: list[Chunk] = []
    output_bytes: Count = 0
    omitted_bytes: Count = 0
    omitted_lines: Count = 0
    is_truncated: bool | None = None
    execution_time_ms: Count = 0
    executor: ShortText | None = None
    error: Message | None = None
    redactions: Annotated[dict[RuleName, Count], msgspec.Meta(max_length=64)] = {}


class PolicyChanged(msgspec.Struct, frozen=True, tag="policy", tag_field="type"):
    """What the cluster's owner allows from now on, in place of what the hello said."""

    policy: dict[ShortText, msgspec.Raw]


class Leaving(msgspec.Struct, frozen=True, tag="leaving", tag_field="type"):
    """The agent is stopping: what runs ends or is cancelled soon, nothing new may be sent."""

    reason: ShortText


# both ways


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat", tag_field="type"):
    """Says that the sender lives. Any frame does; this one is for when there is nothing else to say."""


HubFrame = Welcome | Run | Cancel | Ack | Credit | Drain | Heartbeat
AgentFrame = Hello | Output | Exit | PolicyChanged | Leaving | Heartbeat
Frame = HubFrame | AgentFrame


class CloseCode:
    """Why a link was closed, in the private range of RFC 6455 §7.4.2; 1000, 1001 and 1011 keep their meaning."""

    NORMAL: Final = 1000
    GOING_AWAY: Final = 1001
    MALFORMED_FRAME: Final = 4400
    TOKEN_REVOKED: Final = 4401
    HELLO_TIMEOUT: Final = 4408
    REPLACED: Final = 4409
    PROTOCOL_VIOLATION: Final = 4422
    VERSION_UNSUPPORTED: Final = 4426
    SLOW_PEER: Final = 4429
    SILENT_PEER: Final = 4504


CLOSE_REASONS: Final[dict[int, str]] = {
    CloseCode.NORMAL: "the side that closed is done",
    CloseCode.GOING_AWAY: "the hub is stopping",
    CloseCode.MALFORMED_FRAME: "a frame that is not of the protocol",
    CloseCode.TOKEN_REVOKED: "the agent token was revoked or has expired, or its cluster was removed",
    CloseCode.HELLO_TIMEOUT: "no hello in time",
    CloseCode.REPLACED: "a newer agent of the same cluster took over",
    CloseCode.PROTOCOL_VIOLATION: "a frame that does not belong here",
    CloseCode.VERSION_UNSUPPORTED: "no common protocol version",
    CloseCode.SLOW_PEER: "the peer does not read what it is sent",
    CloseCode.SILENT_PEER: "nothing was heard for 2.5 heartbeat intervals",
}
