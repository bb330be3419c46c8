# SPDX-License-Identifier: Apache-2.0
"""The session API with types. Written by generate.py from schemas/control.openrpc.json: do not edit."""
# flake8: noqa: E501
from __future__ import annotations

from typing import Any, Final, List, Literal, NotRequired, Protocol, TypedDict, cast


class Unset:
    """The type of UNSET: a parameter that is not sent. None would be sent, as null."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Caller(Protocol):
    """What sends a request and returns its result."""

    def call(self, method: str, params: dict[str, Any], /) -> Any: ...


def given(**params: Any) -> dict[str, Any]:
    """Those that are to be sent."""
    return {name: value for name, value in params.items() if not isinstance(value, Unset)}

API_VERSION: Final = "1.0.0"

Topic = Literal["mirror.state", "port.state", "mirror.loss", "mirror.change", "port.change", "bridge.change", "system.change", "system.refused", "system.state"]
Direction = Literal["from", "to", "both"]
State = Literal["active", "degraded", "waiting", "disabled", "expired", "error"]
PortState = Literal["active", "down", "waiting", "error"]


class ChangesItem(TypedDict):
    field: str
    # As text, shortened to 200 bytes; null: empty, or not there.
    before: str | None
    after: str | None


class StateOf(TypedDict):
    bridge: str
    name: str
    state: str
    reason: str


class Source(TypedDict):
    """A port: its name, or one of name, glob, iface_id and mac, with a direction. It need not exist yet: the session
    waits for it, and finds it again when it returns. glob, iface_id and mac never select destinations of the
    session.
    """

    # Name of a port; that of a patch port may be longer than a device name.
    name: NotRequired[str]
    # Every port of the bridge whose name matches: * any characters, ? one, [a-c] one of these.
    glob: NotRequired[str]
    # The port whose Interface row has this external_ids:iface-id.
    iface_id: NotRequired[str]
    # The port whose host has this address, such as 52:54:00:12:34:56: external_ids:attached-mac of its Interface row,
    # else its column mac, else the address of a device that the switch creates.
    mac: NotRequired[str]
    # from: what the port's host sends into the switch (select_src_port, ingress). to: what the switch delivers to it
    # (select_dst_port, egress).
    direction: NotRequired[Literal["from", "to", "both"]]


class Sources(TypedDict):
    # Ports to watch. A port named twice is watched in both directions given.
    ports: NotRequired[List[Source | str]]
    # Only frames of these VLANs. Without ports: of every port.
    vlans: NotRequired[List[int]]
    # Every port of the bridge, including those added later.
    all: NotRequired[bool]


class ChangedSources(TypedDict):
    """ports and all together define the watched ports: giving either one replaces both. vlans is replaced if it is
    given.
    """

    # Ports to watch, replacing the previous ones.
    ports: NotRequired[List[Source | str]]
    # Only frames of these VLANs; empty: of any.
    vlans: NotRequired[List[int]]
    # Every port of the bridge, including those added later.
    all: NotRequired[bool]


class Destination(TypedDict):
    # Each gets one copy. A port need not exist yet: the session waits for it. With vlan they carry other traffic too.
    ports: NotRequired[List[str]]
    # RSPAN: put the copies into this VLAN. They leave on every port that carries it, or on the ports named.
    vlan: NotRequired[int | None]
    # RSPAN: true: keep the original tag behind that of vlan. false: replace it.
    keep_vlan: NotRequired[bool]
    # Remove the outer tag from the copies. null: only if the session watches VLANs, names no port (nor all) and sends
    # to ports, as at the end of an RSPAN VLAN.
    strip_vlan: NotRequired[bool | None]
    # Send the copies encapsulated to these addresses, through the host's own routing.
    endpoints: NotRequired[List[Endpoint]]
    # Write the copies into a socket: one end of a pair (AF_UNIX, SOCK_SEQPACKET) that came with the request
    # (SCM_RIGHTS), in the form of schemas/capture_record.h. The session is removed when the connection ends. Excludes
    # the other members.
    capture: NotRequired[bool]
    # Keep the last copies in so many bytes of memory, until mirror.dump_record asks for them. All sessions together may
    # have 500,000,000. null: 64,000,000 with record_seconds; without, nothing is recorded. Excludes the other members,
    # except record_seconds. Another value begins with nothing.
    record_bytes: NotRequired[int | None]
    # Keep the copies of the last so many seconds, as far as record_bytes have room for them; null: as record_bytes have
    # room for.
    record_seconds: NotRequired[int | None]


class Endpoint(TypedDict):
    """Of mirror.set: an endpoint with an address that the session sends to already keeps the members that are not given
    (unless several endpoints have that address); null clears one. Members for which another encap has no field go
    with the former encap. Without ip: what changes at every endpoint of the session.
    """

    # IPv4 or IPv6 address.
    ip: str
    # gre: RFC 2784 and 2890, protocol 0x6558. erspan1, 2, 3: draft-foschiano-erspan-03, type I, II, III. vxlan: RFC
    # 7348. geneve: RFC 8926 [gre].
    encap: NotRequired[Literal["gre", "erspan1", "erspan2", "erspan3", "vxlan", "geneve"]]
    # Source address; null: chosen by the host's routing.
    local_ip: NotRequired[str | None]
    # GRE key (null: no key field) or VNI of VXLAN and Geneve (null: 0).
    key: NotRequired[int | None]
    # UDP port of VXLAN and Geneve; null: 4789 and 6081.
    dst_port: NotRequired[int | None]
    # ERSPAN session; null: 0.
    session_id: NotRequired[int | None]
    # ERSPAN type II index, port index of a type III subheader; null: 0.
    index: NotRequired[int | None]
    # ERSPAN class of service; null: that of the copied frame.
    cos: NotRequired[int | None]
    # ERSPAN type III hardware identifier; null: 0.
    hwid: NotRequired[int | None]
    # Granularity of the ERSPAN type III time stamp; null: 100us.
    timestamp: NotRequired[Literal["100us", "100ns", "ieee1588", None]]
    # ERSPAN type III with the platform subheader, which completes the timestamp; ieee1588 always has it [false].
    subheader: NotRequired[bool]
    # null: 64.
    ttl: NotRequired[int | None]
    # The TTL is that of the IP packet in the copy; ttl is for other frames [false].
    inherit_ttl: NotRequired[bool]
    # null: 0.
    dscp: NotRequired[int | None]
    # The DSCP is that of the IP packet in the copy; dscp is for other frames [false].
    inherit_dscp: NotRequired[bool]
    # null: set, unless mtu_policy is fragment.
    dont_fragment: NotRequired[bool | None]


class ChangedDestination(TypedDict):
    """Members that are not given stay. But a member that the session does not have yet moves it there: ports, vlan,
    endpoints and what is recorded then replace each other, except that ports may be named for the vlan that it has.
    """

    # Replaces the previous ones; empty: none, or with vlan every port that carries it.
    ports: NotRequired[List[str]]
    # RSPAN: put the copies into this VLAN; null: into none.
    vlan: NotRequired[int | None]
    # RSPAN: true: keep the original tag behind that of vlan. false: replace it.
    keep_vlan: NotRequired[bool]
    # Remove the outer tag from the copies. null: as in mirror.add.
    strip_vlan: NotRequired[bool | None]
    # Replaces the previous ones; see ChangedEndpoint.
    endpoints: NotRequired[List[ChangedEndpoint]]
    # Keep the last copies in so many bytes of memory, until mirror.dump_record asks for them. All sessions together may
    # have 500,000,000. null: 64,000,000 with record_seconds; without, nothing is recorded. Excludes the other members,
    # except record_seconds. Another value begins with nothing.
    record_bytes: NotRequired[int | None]
    # Keep the copies of the last so many seconds, as far as record_bytes have room for them; null: as record_bytes have
    # room for.
    record_seconds: NotRequired[int | None]


class ChangedEndpoint(TypedDict):
    """Of mirror.set: an endpoint with an address that the session sends to already keeps the members that are not given
    (unless several endpoints have that address); null clears one. Members for which another encap has no field go
    with the former encap. Without ip: what changes at every endpoint of the session.
    """

    # IPv4 or IPv6 address.
    ip: NotRequired[str]
    # gre: RFC 2784 and 2890, protocol 0x6558. erspan1, 2, 3: draft-foschiano-erspan-03, type I, II, III. vxlan: RFC
    # 7348. geneve: RFC 8926 [gre].
    encap: NotRequired[Literal["gre", "erspan1", "erspan2", "erspan3", "vxlan", "geneve"]]
    # Source address; null: chosen by the host's routing.
    local_ip: NotRequired[str | None]
    # GRE key (null: no key field) or VNI of VXLAN and Geneve (null: 0).
    key: NotRequired[int | None]
    # UDP port of VXLAN and Geneve; null: 4789 and 6081.
    dst_port: NotRequired[int | None]
    # ERSPAN session; null: 0.
    session_id: NotRequired[int | None]
    # ERSPAN type II index, port index of a type III subheader; null: 0.
    index: NotRequired[int | None]
    # ERSPAN class of service; null: that of the copied frame.
    cos: NotRequired[int | None]
    # ERSPAN type III hardware identifier; null: 0.
    hwid: NotRequired[int | None]
    # Granularity of the ERSPAN type III time stamp; null: 100us.
    timestamp: NotRequired[Literal["100us", "100ns", "ieee1588", None]]
    # ERSPAN type III with the platform subheader, which completes the timestamp; ieee1588 always has it [false].
    subheader: NotRequired[bool]
    # null: 64.
    ttl: NotRequired[int | None]
    # The TTL is that of the IP packet in the copy; ttl is for other frames [false].
    inherit_ttl: NotRequired[bool]
    # null: 0.
    dscp: NotRequired[int | None]
    # The DSCP is that of the IP packet in the copy; dscp is for other frames [false].
    inherit_dscp: NotRequired[bool]
    # null: set, unless mtu_policy is fragment.
    dont_fragment: NotRequired[bool | None]


class Config(TypedDict):
    config: dict[str, str]
    # Settings that are not used as given, as sentences.
    notices: List[str]


class LogLevels(TypedDict):
    areas: List[LogLevelsArea]


class LogLevelsArea(TypedDict):
    name: str
    console: Literal["off", "err", "warn", "info", "dbg"]
    file: Literal["off", "err", "warn", "info", "dbg"]


class Rate(TypedDict):
    """Limit per second on what is copied. A frame counts once, however many destinations it has; a burst may be 100 ms'
    worth. mirror.set leaves the limit that is not given; null clears it. null: no limit.
    """

    packets: NotRequired[int | None]
    # Of the frames as received.
    bits: NotRequired[int | None]


class Expires(TypedDict):
    """What ends the session, whichever comes first. It then copies nothing; its row and counters stay. mirror.set
    leaves what is not given, unless the session has ended; null clears one of them. null: never.
    """

    # From now on.
    seconds: NotRequired[int]
    # A time such as 2026-01-05T08:00:00Z, or milliseconds since 1970.
    at: NotRequired[str | int | None]
    # After this many copied frames, each counted once (tx_packets), from now on or from the start of the daemon.
    packets: NotRequired[int | None]
    # Before the frame that would exceed this number of bytes (tx_bytes).
    bytes: NotRequired[int | None]
    # true: together with the connection that sent this request.
    connection: NotRequired[bool]


class RateLimit(TypedDict):
    packets: int | None
    bits: int | None


class End(TypedDict):
    # ISO 8601, UTC. Once the session has ended, for whatever reason: when it ended.
    at: str | None
    packets: int | None
    bytes: int | None
    connection: bool


class Origin(TypedDict):
    """Creator and creation time of the session; null if an OVSDB client created it."""

    # User name at the other end of a unix socket, or tcp:ADDRESS.
    owner: str
    # ISO 8601, UTC.
    created: str
    peer_uid: int | None
    peer_pid: int | None


class Bridge(TypedDict):
    name: str
    uuid: str
    revision: NotRequired[str]
    # 16 hexadecimal digits, null before the bridge is up.
    datapath_id: str | None
    fail_mode: Literal["standalone", "secure", None]
    # Seconds, the value in effect.
    mac_aging_time: int
    # Addresses, the value in effect.
    mac_table_size: int
    flood_vlans: List[int]
    forward_bpdu: bool
    # Names, without the bridge's own port.
    ports: List[str]
    # Names of the sessions.
    mirrors: List[str]
    state: PortState
    # Empty if all is well.
    reason: str
    # Settings that have no effect, as sentences; empty: none.
    notice: NotRequired[str]


class Port(TypedDict):
    bridge: str
    name: str
    uuid: str
    revision: NotRequired[str]
    # As in port.add, or a type that only OVSDB clients can set and that is not supported.
    type: str
    options: NotRequired[dict[str, str]]
    # Of the interface.
    external_ids: NotRequired[dict[str, str]]
    # The requested MTU.
    mtu_request: NotRequired[int | None]
    # OpenFlow port number; null until the port is set up.
    ofport: int | None
    # The requested number.
    ofport_request: int | None
    # Access or native VLAN.
    tag: int | None
    # Empty: all.
    trunks: List[int]
    # null: access if a tag is set, otherwise trunk.
    vlan_mode: Literal["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", None]
    protected: bool
    priority_tags: Literal["never", "if-nonzero", "always"]
    # Empty: all.
    cvlans: List[int]
    qinq_ethtype: Literal["802.1ad", "802.1q"]
    # Removed at the start after a boot.
    transient: NotRequired[bool]
    # Address of the device.
    mac: str | None
    # Bytes.
    mtu: int | None
    # Of the device; null without one.
    ifindex: int | None
    # What the device of an internal port is called and where, if it was renamed or moved into another network
    # namespace.
    device: NotRequired[str | None]
    state: PortState
    # Empty if all is well.
    reason: str
    # Settings that have no effect, as sentences; empty: none.
    notice: NotRequired[str]
    # The sessions that make the port carry only copies, not its own traffic; null: none.
    copies_only: NotRequired[str | None]
    # What the host has put on the device's way out, such as "qdisc htb, capture"; frames to the port pass it. null:
    # nothing.
    egress: NotRequired[str | None]
    counters: PortCounters


class PortCounters(TypedDict):
    """rx: received from the port's host. tx: sent to it; tx_copies: the copies of mirror sessions among them."""

    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    tx_errors: int
    tx_copies: int


class Counters(TypedDict):
    # Copies that the session selects: one per selected frame and destination. matched = delivered + lost + duplicate +
    # sampled_out + rate_limited + queued.
    matched: int
    # Copies handed to their destination.
    delivered: int
    # Their bytes.
    delivered_bytes: int
    # Frames or packets sent: more than copies if GSO packets are segmented.
    sent_packets: NotRequired[int]
    # Of those delivered: cut to the MTU of the path to their endpoint.
    truncated: NotRequired[int]
    # Copies not delivered, all causes together.
    lost: int
    # The same by cause; causes are the drop reasons of system.stats.
    lost_by: dict[str, int]
    # Not sent because another session has copied the frame to the same destination: no loss.
    duplicate: int
    # Not sent because only one frame in `sample` is copied: no loss.
    sampled_out: int
    # Not sent because the session had copied as much as its `rate` allows: no loss.
    rate_limited: int
    # Copies not sent yet.
    queued: int
    # As Open vSwitch counts: frames selected.
    tx_packets: int
    # Their bytes, as received.
    tx_bytes: int
    # Frames that arrived in the session's output VLAN and are not copies of this bridge: they leave with the copies. On
    # a switch in the middle of an RSPAN VLAN, these are the copies of other switches.
    foreign_frames: NotRequired[int]
    # The older name of foreign_frames: the same number.
    production_frames: NotRequired[int]


class Mirror(TypedDict):
    bridge: str
    name: str
    uuid: str
    revision: NotRequired[str]
    description: str
    enabled: bool
    sources: MirrorSources
    # The ports that each glob, iface-id and MAC among the sources selects at present; "glob:vnet*" is a key.
    bound_sources: dict[str, List[str]]
    destination: MirrorDestination
    # Destination ports also carry their own traffic.
    normal_io: bool
    # For copies longer than the path MTU to an endpoint.
    mtu_policy: NotRequired[Literal["cut", "fragment", "drop"]]
    # null: segmented for endpoints and for ports that carry only copies, kept for ports that carry their own traffic
    # too.
    superframes: NotRequired[Literal["keep", "cut", None]]
    # Bytes of each copy; null: whole frames.
    snaplen: int | None
    # Percent of a processor that the kernel may spend on the copies; null: no limit.
    cpu_budget: int | None
    # One frame in this many is copied.
    sample: int
    rate: RateLimit | None
    # Matches; only frames that match one are copied. null: every frame.
    filter: List[str] | None
    # Matches; frames that match one are not copied. null: none.
    skip: List[str] | None
    expires: End | None
    origin: Origin | None
    state: State
    # Empty if all is well.
    reason: str
    # When this state began (ISO 8601, UTC).
    since: str | None
    notice: NotRequired[str]
    recording: NotRequired[Recording | None]
    counters: Counters
    # The same for each destination.
    destinations: NotRequired[List[MirrorDestination]]


class MirrorSources(TypedDict):
    ports: List[MirrorSourcesPort]
    vlans: List[int]
    all: bool


class MirrorSourcesPort(TypedDict):
    """One of name, glob, iface_id and mac, and a direction."""

    name: NotRequired[str]
    glob: NotRequired[str]
    iface_id: NotRequired[str]
    mac: NotRequired[str]
    direction: Direction


class MirrorDestination(TypedDict):
    ports: List[str]
    # The RSPAN VLAN the copies are put into.
    vlan: int | None
    keep_vlan: bool
    # The outer tag is removed from the copies.
    strip_vlan: bool
    # A program that passed a socket with its request reads the copies.
    capture: NotRequired[bool]
    # Bytes of memory that keep the last copies.
    record_bytes: NotRequired[int | None]
    # For how long, at most.
    record_seconds: NotRequired[int | None]
    # As configured, with their status: state (active, waiting, error), reason, and source address, device and mtu of
    # the path.
    endpoints: List[dict[str, Any]]


class Recording(TypedDict):
    """What the recorder of a session holds; null: the session has none."""

    frames: int
    # Of these frames, as far as they are kept.
    bytes: int
    # Frames that have made room for later ones, or become too old: no loss, they count as delivered.
    evicted: int
    # Bytes of memory. A frame takes 32 and the name of its port besides.
    capacity: int
    # When the oldest frame was received (ISO 8601, UTC); null: there is none.
    oldest: str | None
    # When the newest frame was received.
    newest: str | None


class MirrorCounters(TypedDict):
    bridge: str
    name: str
    uuid: str
    state: State
    reason: str
    notice: NotRequired[str]
    counters: Counters
    # The same for each destination.
    destinations: NotRequired[List[MirrorCountersDestination]]


class MirrorCountersDestination(TypedDict):
    # Of the port, or encapsulation and address of the endpoint.
    name: str
    counters: dict[str, Any]


class FdbEntry(TypedDict):
    bridge: str
    # Name of the port the address was seen on.
    port: str
    vlan: int
    mac: str
    # Seconds since it was last seen.
    age: int


class Removed(TypedDict):
    # false: there was nothing to remove, and if_exists was given.
    removed: bool


class VspanPort(TypedDict):
    """VMwareVspanPort of vSphere."""

    portKey: NotRequired[List[str] | None]
    # As a destination; as a source, refused with strict.
    uplinkPortName: NotRequired[List[str] | None]
    # Refused: what is connected to a port is not known here.
    wildcardPortConnecteeType: NotRequired[List[str] | None]
    # Source of a remoteMirrorDest session.
    vlans: NotRequired[List[int] | None]
    # IPv4 or IPv6, destination of an encapsulatedRemoteMirrorSource session.
    ipAddress: NotRequired[List[str] | None]
    _typeName: NotRequired[str]
    _vimtype: NotRequired[str]
    dynamicType: NotRequired[str | None]
    dynamicProperty: NotRequired[List[Any] | None]


class VspanSession(TypedDict):
    """VMwareVspanSession of vSphere. null and empty lists mean unset. With strict, enabled, stripOriginalVlan and
    normalTrafficAllowed must be given, except to remove a session.
    """

    # Identifies the session for edit and remove. Generated if unset.
    key: NotRequired[str | None]
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    # Unset: true.
    enabled: NotRequired[bool | None]
    sourcePortTransmitted: NotRequired[VspanPort | None]
    sourcePortReceived: NotRequired[VspanPort | None]
    destinationPort: NotRequired[VspanPort | None]
    encapsulationVlanId: NotRequired[int | None]
    # Unset: false.
    stripOriginalVlan: NotRequired[bool | None]
    # Bytes; with strict 60 at least.
    mirroredPacketLength: NotRequired[int | None]
    # Unset: false.
    normalTrafficAllowed: NotRequired[bool | None]
    # null: mixedDestMirror. encapRemoteMirrorSource, which VMware's documentation also has, means
    # encapsulatedRemoteMirrorSource.
    sessionType: NotRequired[Literal["dvPortMirror", "remoteMirrorSource", "remoteMirrorDest", "encapsulatedRemoteMirrorSource", "encapRemoteMirrorSource", "mixedDestMirror", None]]
    samplingRate: NotRequired[int | None]
    encapType: NotRequired[Literal["gre", "erspan2", "erspan3", None]]
    erspanId: NotRequired[int | None]
    # null: the class of service of the frame.
    erspanCOS: NotRequired[int | None]
    # true: time stamps in 100 ns; otherwise in 100 us.
    erspanGraNanosec: NotRequired[bool | None]
    # Kept, without effect.
    netstack: NotRequired[str | None]
    _typeName: NotRequired[str]
    _vimtype: NotRequired[str]
    dynamicType: NotRequired[str | None]
    dynamicProperty: NotRequired[List[Any] | None]


class VspanConfigSpec(TypedDict):
    """VMwareDVSVspanConfigSpec of vSphere. edit replaces the vSphere settings of a session; remove needs only its key.
    """

    operation: Literal["add", "edit", "remove"]
    vspanSession: VspanSession
    _typeName: NotRequired[str]
    _vimtype: NotRequired[str]
    dynamicType: NotRequired[str | None]
    dynamicProperty: NotRequired[List[Any] | None]


class VspanWarning(TypedDict):
    """A field without effect, a missing port, or a session left out."""

    session: str
    # Path of the parameter; empty: the session as a whole.
    field: str
    sentence: str


class BridgeSettings(TypedDict):
    """Settings of a bridge in a document: what is not given has its default."""

    # secure: without a controller nothing is forwarded. null: standalone.
    fail_mode: NotRequired[Literal["standalone", "secure", None]]
    # Seconds after which an unused address is forgotten [300].
    mac_aging_time: NotRequired[int]
    # Maximum number of learned addresses [8192].
    mac_table_size: NotRequired[int]
    # VLANs in which nothing is learned and everything is flooded.
    flood_vlans: NotRequired[List[int]]
    # Forward frames to link-local multicast addresses (BPDUs and the like) [false].
    forward_bpdu: NotRequired[bool]


class DocumentBridge(TypedDict):
    """A bridge in a document, which says nothing about a member that it does not have."""

    settings: NotRequired[BridgeSettings]
    # By their names; the bridge's own port only if it has settings.
    ports: NotRequired[dict[str, PortSettings]]
    # Sessions by their names.
    mirrors: NotRequired[dict[str, MirrorSettings]]


class PortSettings(TypedDict):
    """A port in a document: what is not given has its default."""

    # '' or system: a device of this host. internal, tap: a device that the switch creates. patch: a link to the patch
    # port options.peer of another bridge. gre, erspan, vxlan, geneve: a tunnel, see options; ip6gre and ip6erspan mean
    # gre and erspan.
    type: NotRequired[Literal["", "system", "internal", "tap", "patch", "gre", "erspan", "vxlan", "geneve", "ip6gre", "ip6erspan"]]
    # As in port.add, exactly these.
    options: NotRequired[dict[str, str]]
    # external_ids of the interface, exactly these.
    external_ids: NotRequired[dict[str, str]]
    # MTU to give the device; null: leave it as it is.
    mtu_request: NotRequired[int | None]
    # Access or native VLAN; null: none.
    tag: NotRequired[int | None]
    # VLANs a trunk or native port carries; empty: all.
    trunks: NotRequired[List[int]]
    # null: access if a tag is set, otherwise trunk.
    vlan_mode: NotRequired[Literal["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", None]]
    # Protected ports do not forward to each other [false].
    protected: NotRequired[bool]
    # The port belongs to something that does not outlive the host, such as a VM: port.del_transient and vswitchd
    # --delete-transient-ports remove it [false].
    transient: NotRequired[bool]
    # Whether frames leave with a tag of VLAN 0 that carries their priority [never].
    priority_tags: NotRequired[Literal["never", "if-nonzero", "always"]]
    # Customer VLANs a dot1q-tunnel port carries; empty: all.
    cvlans: NotRequired[List[int]]
    # Outer tag that a dot1q-tunnel port pushes [802.1ad].
    qinq_ethtype: NotRequired[Literal["802.1ad", "802.1q"]]
    # Requested OpenFlow port number.
    ofport_request: NotRequired[int | None]


class MirrorSettings(TypedDict):
    """A session in a document: what is not given has its default."""

    # Free text.
    description: NotRequired[str]
    # false: configured, but copies nothing.
    enabled: NotRequired[bool]
    sources: NotRequired[Sources]
    destination: NotRequired[Destination]
    # true: destination ports also carry their own traffic. false: they carry copies only.
    normal_io: NotRequired[bool]
    # Copies longer than the path MTU to an endpoint are truncated (and marked, in ERSPAN types II and III), sent in
    # fragments, or dropped and counted. null: cut.
    mtu_policy: NotRequired[Literal["cut", "fragment", "drop", None]]
    # GSO packets of local senders are kept whole, or segmented as they would be on a wire. null: kept for ports,
    # segmented for endpoints.
    superframes: NotRequired[Literal["keep", "cut", None]]
    # Truncate copies to this many bytes, including tags; null: whole frames.
    snaplen: NotRequired[int | None]
    # Percent of a processor that the kernel may spend on the session's copies; what is beyond is lost, by cause
    # cpu_budget. null: no limit.
    cpu_budget: NotRequired[int | None]
    # Copy one in this many selected frames, at random.
    sample: NotRequired[int]
    rate: NotRequired[Rate | None]
    # Copy only frames that match one of these (flow syntax of Open vSwitch, such as tcp,tp_dst=80); null or []: every
    # frame.
    filter: NotRequired[str | List[str] | None]
    # Do not copy frames that match one of these, even if filter selects them; null or []: skip none.
    skip: NotRequired[str | List[str] | None]
    # What ends the session. A time that has passed: the session has ended, and is restored as one that has.
    expires: NotRequired[MirrorSettingsExpires]


class MirrorSettingsExpires(TypedDict):
    """What ends the session. A time that has passed: the session has ended, and is restored as one that has."""

    # A time such as 2026-01-05T08:00:00Z.
    at: NotRequired[str]
    packets: NotRequired[int]
    bytes: NotRequired[int]


class Document(TypedDict):
    """Settings of a switch as text (docs/settings-as-text.md)."""

    # Of this format.
    version: Literal[1]
    # Settings of the switch as a whole, as in system.set_config.
    config: NotRequired[dict[str, str]]
    # By their names.
    bridges: dict[str, DocumentBridge]


class DocumentRemarksItem(TypedDict):
    # Of the member, such as bridges.br0.ports.t1; empty: the switch as a whole.
    path: str
    sentence: str


class SettingChangesItem(TypedDict):
    # Such as destination.ports.
    member: str
    before: Any
    after: Any


class Difference(TypedDict):
    operation: Literal["add", "change", "remove"]
    kind: Literal["config", "bridge", "port", "mirror"]
    bridge: str | None
    name: str
    changes: List[SettingChangesItem]
    # That a port or session has reached; null: it is gone, or nothing was changed.
    state: str | None
    reason: str


class ErrorData(TypedDict):
    """The data member of every error object of this API."""

    reason: Literal["invalid", "not_found", "exists", "conflict", "refused", "unavailable", "unsupported", "read_only", "changed"]
    # Path of the parameter, such as sources.ports[0].direction; empty for the request as a whole.
    field: str
    # The offending value as it was given.
    value: Any
    # Of reason changed: the present revision; null: there is no such object.
    revision: NotRequired[str | None]
    # mirror.import with strict: vSphere's fault for it.
    fault: NotRequired[str]
    # With fault: keys of the conflicting sessions.
    sessions: NotRequired[List[str]]


class BridgePutResult(TypedDict):
    """The object as it is now, unless it does not exist (dry_run)."""

    # Whether anything differed. With dry_run: whether it would be changed.
    changed: bool
    # It did not exist.
    created: bool
    changes: List[SettingChangesItem]
    bridge: NotRequired[Bridge]


class BridgeListResult(TypedDict):
    bridges: List[Bridge]


class PortPutResult(TypedDict):
    """The object as it is now, unless it does not exist (dry_run)."""

    # Whether anything differed. With dry_run: whether it would be changed.
    changed: bool
    # It did not exist.
    created: bool
    changes: List[SettingChangesItem]
    port: NotRequired[Port]


class PortDelTransientResult(TypedDict):
    # Their names.
    removed: List[str]


class PortListResult(TypedDict):
    ports: List[Port]


class MirrorPutResult(TypedDict):
    """The object as it is now, unless it does not exist (dry_run)."""

    # Whether anything differed. With dry_run: whether it would be changed.
    changed: bool
    # It did not exist.
    created: bool
    changes: List[SettingChangesItem]
    mirror: NotRequired[Mirror]


class MirrorListResult(TypedDict):
    mirrors: List[Mirror]


class MirrorResetResult(TypedDict):
    # Number of sessions.
    reset: int


class MirrorDumpRecordResult(TypedDict):
    recording: Recording | None
    counters: Counters


class MirrorStatsResult(TypedDict):
    mirrors: List[MirrorCounters]


class MirrorImportResult(TypedDict):
    sessions: List[MirrorImportResultSession]
    warnings: List[VspanWarning]


class MirrorImportResultSession(TypedDict):
    operation: Literal["add", "edit", "remove"]
    # null: not created yet (dry_run).
    key: str | None
    name: str
    # null: the session does not exist (dry_run, remove).
    state: str | None
    # Empty if all is well.
    reason: str


class MirrorExportResult(TypedDict):
    sessions: List[VspanSession]
    warnings: List[VspanWarning]


class MirrorExplainNext(TypedDict):
    """Waits for a frame and explains it with the state at its arrival. The answer is sent when the frame arrives, or as
    an error when the time is over; at most 8 requests can wait at a time.
    """

    # A match, as in a session's filter, that the frame must satisfy. null: the next frame, whatever it is.
    match: NotRequired[str | None]
    # Seconds.
    wait: NotRequired[float]


class MirrorExplainResult(TypedDict):
    # One line per step, for people.
    trace: List[str]
    # Where the frame goes.
    outputs: List[MirrorExplainResultOutput]
    copies: List[MirrorExplainResultCopie]
    # Every session of the bridge.
    mirrors: List[MirrorExplainResultMirror]
    # Who carries frames like this one, once user space has seen one.
    fast_path: MirrorExplainResultFastPath
    # With `next`: the port on which the frame arrived.
    in_port: NotRequired[str]
    # With `next`: the frame, in hexadecimal.
    frame: NotRequired[str]


class MirrorExplainResultOutput(TypedDict):
    port: str
    # As sent, in hexadecimal.
    frame: str


class MirrorExplainResultCopie(TypedDict):
    session: str
    port: str
    # As sent, in hexadecimal.
    frame: str


class MirrorExplainResultMirror(TypedDict):
    session: str
    copied: bool
    reason: str
    # For a session that copies the frame: the limits that leave out some of these frames (sample, rate, end), one
    # sentence each, in the order in which they apply. They do not say whether this frame is left out: that depends on
    # chance and on earlier frames.
    then: NotRequired[List[str]]


class MirrorExplainResultFastPath(TypedDict):
    """Who carries frames like this one, once user space has seen one."""

    # The kernel forwards them by itself.
    carried: bool
    # Otherwise: what keeps them in user space.
    reason: NotRequired[str]
    # Sessions whose copies user space makes although the kernel forwards the frame.
    user_copies: List[str]


class MirrorWhoResult(TypedDict):
    port: str
    sessions: List[MirrorWhoResultSession]


class MirrorWhoResultSession(TypedDict):
    bridge: str
    name: str
    role: Literal["source", "destination"]
    # null for a destination.
    direction: Literal["from", "to", "both", None]
    # How it was chosen: by name, as one of all ports, by VLAN, or by a glob, iface-id or MAC.
    via: Literal["port", "all", "vlan", "pattern"]
    enabled: bool
    state: State


class FdbListResult(TypedDict):
    entries: List[FdbEntry]


class FdbFlushResult(TypedDict):
    # Addresses forgotten.
    flushed: int


class SystemInfoResult(TypedDict):
    name: str
    version: str
    # Version of this document.
    api: str
    # Version of Open vSwitch whose database schema is served.
    ovs_version: str
    schema_version: str
    pid: int
    # ISO 8601, UTC.
    started: str
    workers: int
    # Number of bridges.
    bridges: int
    # Number of ports.
    ports: int
    # Number of sessions.
    mirrors: int
    # What the daemon may do beyond an ordinary process.
    privileges: SystemInfoResultPrivileges


class SystemInfoResultPrivileges(TypedDict):
    """What the daemon may do beyond an ordinary process."""

    # The user that it runs as.
    user: str
    # As in capabilities(7), in lower case and without CAP_.
    capabilities: List[str]
    # filtered: those that a switch makes.
    system_calls: Literal["filtered", "all"]
    # Sentences about capabilities that the switch needs and does not have.
    missing: List[str]


class SystemStatsResult(TypedDict):
    # rx: received from the port's host. tx: sent to it; tx_copies: copies of mirror sessions sent to it.
    ports: List[SystemStatsResultPort]
    # Reasons that have occurred.
    drops: List[SystemStatsResultDrop]
    # Workers forward and queue copies; mirror threads send the copies.
    threads: List[SystemStatsResultThread]
    # The part of the datapath that is in the kernel: it carries the frames of known flows.
    fast_path: SystemStatsResultFastPath
    memory: SystemStatsResultMemory
    # Notices about thread and memory settings that cannot be used as they stand in Open_vSwitch other_config.
    notices: List[str]


class SystemStatsResultPort(TypedDict):
    bridge: str
    name: str
    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    tx_errors: int
    tx_copies: int


class SystemStatsResultDrop(TypedDict):
    # Stable name of the counter; the prefix copy_ means drops of copies.
    reason: str
    count: int
    meaning: str


class SystemStatsResultThread(TypedDict):
    kind: Literal["worker", "mirror"]
    number: int
    # Ports from which a worker receives.
    ports: NotRequired[List[str]]
    # Received by a worker; taken from the queues by a mirror thread, each with all its copies.
    frames: int
    batches: int
    wakeups: int
    # CPU time, including the kernel's work for the thread.
    cpu_ns: int
    # Of a worker: frames whose copies are queued at this moment.
    queued_bytes: NotRequired[int]
    # Of a worker: the bound of queued_bytes.
    queue_bytes: NotRequired[int]


class SystemStatsResultFastPath(TypedDict):
    """The part of the datapath that is in the kernel: it carries the frames of known flows."""

    # Why user space gets every frame, as a sentence. Missing: it does not.
    off: NotRequired[str]
    # Flows that the kernel carries.
    flows: int
    # Frames that it has carried.
    frames: int
    # Of these, frames that user space was to copy and that it had no room for.
    unread: int
    # Why user space also carries the frames that it copies, as a sentence. Missing: it does not need to.
    no_taps: NotRequired[str]


class SystemStatsResultMemory(TypedDict):
    # Receive rings of all ports.
    receive_bytes: int
    # Memory of busy ports that send by AF_XDP.
    send_bytes: int
    # The bound of all mirror queues.
    queue_bytes: int
    # In all mirror queues at this moment.
    queued_bytes: int


class SystemCheckResult(TypedDict):
    # That of the worst problem; notes are ok.
    status: Literal["ok", "warning", "critical"]
    summary: str
    # The worst first, at most 1000.
    problems: List[SystemCheckResultProblem]
    # Problems beyond the first 1000.
    left_out: int
    # Sessions by state.
    mirrors: dict[str, int]
    # Ports by state.
    ports: dict[str, int]
    # Copies lost in the last minute, by all sessions.
    lost: int


class SystemCheckResultProblem(TypedDict):
    severity: Literal["note", "warning", "critical"]
    # Such as "session br0/span0".
    subject: str
    text: str


class SystemMetricsResult(TypedDict):
    text: str


class SystemEventsResult(TypedDict):
    events: List[SystemEventsResultEvent]
    # Number of the last event of all; 0 if there was none.
    last: int
    # Earlier events that were asked for, beyond limit.
    left_out: int
    # Why events would not outlive the daemon.
    trouble: str | None


class SystemEventsResultEvent(TypedDict):
    """The members of the notification that topic names (x-notifications)."""

    number: int
    time: str
    topic: Topic


class SubscribeResult(TypedDict):
    # All topics this connection is subscribed to.
    topics: List[Topic]
    time: str
    # Number of the last event so far; 0 if there was none.
    last: int
    snapshot: NotRequired[SubscribeResultSnapshot]


class SubscribeResultSnapshot(TypedDict):
    mirrors: NotRequired[List[StateOf]]
    ports: NotRequired[List[StateOf]]


class UnsubscribeResult(TypedDict):
    # The remaining topics.
    topics: List[Topic]


class SystemExportResult(TypedDict):
    document: Document
    left_out: List[DocumentRemarksItem]


class SystemApplyResult(TypedDict):
    # Whether anything differed. With dry_run: whether it would be changed.
    changed: bool
    dry_run: bool
    # Settings of the switch first, then bridges, ports and sessions.
    differences: List[Difference]
    kept: List[DocumentRemarksItem]


class DatabaseCompactResult(TypedDict):
    pass


class DatabaseBackupResult(TypedDict):
    file: str


class MirrorStateEvent(TypedDict):
    """The state or reason of a session changed, or the session was removed."""

    topic: Literal["mirror.state"]
    number: int | None
    time: str
    bridge: str
    name: str
    state: Literal["active", "degraded", "waiting", "disabled", "expired", "error", "removed"]
    reason: str


class PortStateEvent(TypedDict):
    """The state or reason of a port changed, or the port was removed."""

    topic: Literal["port.state"]
    number: int | None
    time: str
    bridge: str
    name: str
    state: Literal["active", "down", "waiting", "error", "removed"]
    reason: str


class MirrorLossEvent(TypedDict):
    """A session lost copies since the last notification. These have no number: system.events has the first loss, and
    then one sum a minute with `seconds`.
    """

    topic: Literal["mirror.loss"]
    number: int | None
    time: str
    bridge: str
    name: str
    # Since the last notification.
    lost: int
    # In system.events: the time in which they were lost. Missing for the first losses.
    seconds: NotRequired[int]
    lost_by: dict[str, int]


class MirrorChangeEvent(TypedDict):
    """A session was added, removed, or got other settings, through whichever interface."""

    topic: Literal["mirror.change"]
    number: int | None
    time: str
    action: Literal["added", "changed", "removed"]
    bridge: str
    name: str
    changes: List[ChangesItem]
    # Who did it: user, pid and program at the other end of a unix socket, or the address.
    by: str


class PortChangeEvent(TypedDict):
    """A port was added, removed, or got other settings."""

    topic: Literal["port.change"]
    number: int | None
    time: str
    action: Literal["added", "changed", "removed"]
    bridge: str
    name: str
    changes: List[ChangesItem]
    # Who did it: user, pid and program at the other end of a unix socket, or the address.
    by: str


class BridgeChangeEvent(TypedDict):
    """A bridge was added, removed, or got other settings."""

    topic: Literal["bridge.change"]
    number: int | None
    time: str
    action: Literal["added", "changed", "removed"]
    name: str
    changes: List[ChangesItem]
    # Who did it: user, pid and program at the other end of a unix socket, or the address.
    by: str


class SystemChangeEvent(TypedDict):
    """Settings of the switch as a whole, or rows of other tables, such as Manager."""

    topic: Literal["system.change"]
    number: int | None
    time: str
    action: Literal["added", "changed", "removed"]
    table: str
    name: str
    changes: List[ChangesItem]
    # Who did it: user, pid and program at the other end of a unix socket, or the address.
    by: str


class SystemRefusedEvent(TypedDict):
    """A change was refused. Of a client that goes on asking, 60 at once and then 20 a minute are reported."""

    topic: Literal["system.refused"]
    number: int | None
    time: str
    # Of the session API, or transact.
    method: str
    reason: str
    by: str
    # Refusals before this one that were not reported.
    left_out: NotRequired[int]


class SystemStateEvent(TypedDict):
    """The daemon has started, or ends."""

    topic: Literal["system.state"]
    number: int | None
    time: str
    state: Literal["started", "ends"]
    # Its version, or why it ends.
    reason: str


Event = MirrorStateEvent | PortStateEvent | MirrorLossEvent | MirrorChangeEvent | PortChangeEvent | BridgeChangeEvent | SystemChangeEvent | SystemRefusedEvent | SystemStateEvent

# Codes of error objects, by the name of their exception.
ERROR_CODES: Final = {"Invalid": -32602, "NotFound": 1001, "Exists": 1002, "Conflict": 1003, "Refused": 1004, "Unavailable": 1005, "Unsupported": 1006, "ReadOnly": 1007, "Changed": 1008}


class BridgeMethods:
    """The methods bridge.*: `switch.bridge`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def add(self, *, name: str, fail_mode: Literal["standalone", "secure", None] | Unset = UNSET, mac_aging_time: int | Unset = UNSET, mac_table_size: int | Unset = UNSET, flood_vlans: List[int] | Unset = UNSET, forward_bpdu: bool | Unset = UNSET, may_exist: bool | Unset = UNSET) -> Bridge:
        """Creates a bridge, with its own port of the same name.

        name: Name of a bridge, or of a port with a device: what Linux accepts (at most 15 bytes of UTF-8, no
            '/', ':', '%' or white space), and not lo.
        fail_mode: secure: without a controller nothing is forwarded. null: standalone.
        mac_aging_time: Seconds after which an unused address is forgotten [300].
        mac_table_size: Maximum number of learned addresses [8192].
        flood_vlans: VLANs in which nothing is learned and everything is flooded.
        forward_bpdu: Forward frames to link-local multicast addresses (BPDUs and the like) [false].
        may_exist: No error if it already exists with these settings.
        """
        return cast("Bridge", self._caller.call("bridge.add", given(name=name, fail_mode=fail_mode, mac_aging_time=mac_aging_time, mac_table_size=mac_table_size, flood_vlans=flood_vlans, forward_bpdu=forward_bpdu, may_exist=may_exist)))

    def put(self, *, name: str, fail_mode: Literal["standalone", "secure", None] | Unset = UNSET, mac_aging_time: int | Unset = UNSET, mac_table_size: int | Unset = UNSET, flood_vlans: List[int] | Unset = UNSET, forward_bpdu: bool | Unset = UNSET, if_revision: str | Unset = UNSET, dry_run: bool | Unset = UNSET) -> BridgePutResult:
        """Creates a bridge, or gives the one that exists exactly these settings: those that are not given get their
        defaults. Its ports and sessions stay.

        name: Name of a bridge, or of a port with a device: what Linux accepts (at most 15 bytes of UTF-8, no
            '/', ':', '%' or white space), and not lo.
        fail_mode: secure: without a controller nothing is forwarded. null: standalone.
        mac_aging_time: Seconds after which an unused address is forgotten [300].
        mac_table_size: Maximum number of learned addresses [8192].
        flood_vlans: VLANs in which nothing is learned and everything is flooded.
        forward_bpdu: Forward frames to link-local multicast addresses (BPDUs and the like) [false].
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        dry_run: Check everything, change nothing.
        """
        return cast("BridgePutResult", self._caller.call("bridge.put", given(name=name, fail_mode=fail_mode, mac_aging_time=mac_aging_time, mac_table_size=mac_table_size, flood_vlans=flood_vlans, forward_bpdu=forward_bpdu, if_revision=if_revision, dry_run=dry_run)))

    def del_(self, *, name: str, if_exists: bool | Unset = UNSET, if_revision: str | Unset = UNSET) -> Removed:
        """Removes a bridge with its ports and sessions.

        name: Name of the bridge.
        if_exists: No error if it does not exist.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Removed", self._caller.call("bridge.del", given(name=name, if_exists=if_exists, if_revision=if_revision)))

    def list(self, *, bridge: str | Unset = UNSET) -> BridgeListResult:
        """All bridges, by name, or one of them.

        bridge: Name of the bridge.
        """
        return cast("BridgeListResult", self._caller.call("bridge.list", given(bridge=bridge)))

    def get(self, *, name: str) -> Bridge:
        """One bridge.

        name: Name of the bridge.
        """
        return cast("Bridge", self._caller.call("bridge.get", given(name=name)))

    def set(self, *, name: str, fail_mode: Literal["standalone", "secure", None] | Unset = UNSET, mac_aging_time: int | Unset = UNSET, mac_table_size: int | Unset = UNSET, flood_vlans: List[int] | Unset = UNSET, forward_bpdu: bool | Unset = UNSET, if_revision: str | Unset = UNSET) -> Bridge:
        """Changes the given settings and leaves the others.

        name: Name of the bridge.
        fail_mode: secure: without a controller nothing is forwarded. null: standalone.
        mac_aging_time: Seconds after which an unused address is forgotten [300].
        mac_table_size: Maximum number of learned addresses [8192].
        flood_vlans: VLANs in which nothing is learned and everything is flooded.
        forward_bpdu: Forward frames to link-local multicast addresses (BPDUs and the like) [false].
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Bridge", self._caller.call("bridge.set", given(name=name, fail_mode=fail_mode, mac_aging_time=mac_aging_time, mac_table_size=mac_table_size, flood_vlans=flood_vlans, forward_bpdu=forward_bpdu, if_revision=if_revision)))


class PortMethods:
    """The methods port.*: `switch.port`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def add(self, *, bridge: str, name: str, type: Literal["", "system", "internal", "tap", "patch", "gre", "erspan", "vxlan", "geneve", "ip6gre", "ip6erspan"] | Unset = UNSET, options: dict[str, str | None] | Unset = UNSET, external_ids: dict[str, str | None] | Unset = UNSET, mtu_request: int | None | Unset = UNSET, tag: int | None | Unset = UNSET, trunks: List[int] | Unset = UNSET, vlan_mode: Literal["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", None] | Unset = UNSET, protected: bool | Unset = UNSET, transient: bool | Unset = UNSET, priority_tags: Literal["never", "if-nonzero", "always"] | Unset = UNSET, cvlans: List[int] | Unset = UNSET, qinq_ethtype: Literal["802.1ad", "802.1q"] | Unset = UNSET, ofport_request: int | None | Unset = UNSET, may_exist: bool | Unset = UNSET) -> Port:
        """Adds a port with a device to a bridge. The device need not exist yet: the port waits for it.

        bridge: Name of the bridge.
        name: Name of a bridge, or of a port with a device: what Linux accepts (at most 15 bytes of UTF-8, no
            '/', ':', '%' or white space), and not lo.
        type: '' or system: a device of this host. internal, tap: a device that the switch creates. patch: a
            link to the patch port options.peer of another bridge. gre, erspan, vxlan, geneve: a tunnel, see
            options; ip6gre and ip6erspan mean gre and erspan.
        options: As in the Interface table: remote_ip (required) and the others of a tunnel, peer (required) of
            a patch port. port.set leaves those that are not given; null removes one.
        external_ids: external_ids of the interface, by which others know the port (iface-id, attached-mac,
            vsphere-port-key ...). Those that are not given stay; null removes one.
        mtu_request: MTU to give the device; null: leave it as it is.
        tag: Access or native VLAN; null: none.
        trunks: VLANs a trunk or native port carries; empty: all.
        vlan_mode: null: access if a tag is set, otherwise trunk.
        protected: Protected ports do not forward to each other [false].
        transient: The port belongs to something that does not outlive the host, such as a VM:
            port.del_transient and vswitchd --delete-transient-ports remove it [false].
        priority_tags: Whether frames leave with a tag of VLAN 0 that carries their priority [never].
        cvlans: Customer VLANs a dot1q-tunnel port carries; empty: all.
        qinq_ethtype: Outer tag that a dot1q-tunnel port pushes [802.1ad].
        ofport_request: Requested OpenFlow port number.
        may_exist: No error if it already exists with these settings.
        """
        return cast("Port", self._caller.call("port.add", given(bridge=bridge, name=name, type=type, options=options, external_ids=external_ids, mtu_request=mtu_request, tag=tag, trunks=trunks, vlan_mode=vlan_mode, protected=protected, transient=transient, priority_tags=priority_tags, cvlans=cvlans, qinq_ethtype=qinq_ethtype, ofport_request=ofport_request, may_exist=may_exist)))

    def put(self, *, bridge: str, name: str, type: Literal["", "system", "internal", "tap", "patch", "gre", "erspan", "vxlan", "geneve", "ip6gre", "ip6erspan"] | Unset = UNSET, options: dict[str, str] | Unset = UNSET, external_ids: dict[str, str] | Unset = UNSET, mtu_request: int | None | Unset = UNSET, tag: int | None | Unset = UNSET, trunks: List[int] | Unset = UNSET, vlan_mode: Literal["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", None] | Unset = UNSET, protected: bool | Unset = UNSET, transient: bool | Unset = UNSET, priority_tags: Literal["never", "if-nonzero", "always"] | Unset = UNSET, cvlans: List[int] | Unset = UNSET, qinq_ethtype: Literal["802.1ad", "802.1q"] | Unset = UNSET, ofport_request: int | None | Unset = UNSET, if_revision: str | Unset = UNSET, dry_run: bool | Unset = UNSET) -> PortPutResult:
        """Creates a port, or gives the one that exists exactly these settings: those that are not given get their
        defaults. Its type cannot change.

        bridge: Name of the bridge.
        name: Name of a bridge, or of a port with a device: what Linux accepts (at most 15 bytes of UTF-8, no
            '/', ':', '%' or white space), and not lo.
        type: '' or system: a device of this host. internal, tap: a device that the switch creates. patch: a
            link to the patch port options.peer of another bridge. gre, erspan, vxlan, geneve: a tunnel, see
            options; ip6gre and ip6erspan mean gre and erspan.
        options: As in port.add, exactly these.
        external_ids: external_ids of the interface, exactly these.
        mtu_request: MTU to give the device; null: leave it as it is.
        tag: Access or native VLAN; null: none.
        trunks: VLANs a trunk or native port carries; empty: all.
        vlan_mode: null: access if a tag is set, otherwise trunk.
        protected: Protected ports do not forward to each other [false].
        transient: The port belongs to something that does not outlive the host, such as a VM:
            port.del_transient and vswitchd --delete-transient-ports remove it [false].
        priority_tags: Whether frames leave with a tag of VLAN 0 that carries their priority [never].
        cvlans: Customer VLANs a dot1q-tunnel port carries; empty: all.
        qinq_ethtype: Outer tag that a dot1q-tunnel port pushes [802.1ad].
        ofport_request: Requested OpenFlow port number.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        dry_run: Check everything, change nothing.
        """
        return cast("PortPutResult", self._caller.call("port.put", given(bridge=bridge, name=name, type=type, options=options, external_ids=external_ids, mtu_request=mtu_request, tag=tag, trunks=trunks, vlan_mode=vlan_mode, protected=protected, transient=transient, priority_tags=priority_tags, cvlans=cvlans, qinq_ethtype=qinq_ethtype, ofport_request=ofport_request, if_revision=if_revision, dry_run=dry_run)))

    def del_(self, *, name: str, bridge: str | Unset = UNSET, if_exists: bool | Unset = UNSET, if_revision: str | Unset = UNSET) -> Removed:
        """Removes a port from its bridge. Sessions that name it wait until it returns.

        name: Name of the port.
        bridge: Only if it is on this bridge.
        if_exists: No error if it does not exist.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Removed", self._caller.call("port.del", given(name=name, bridge=bridge, if_exists=if_exists, if_revision=if_revision)))

    def del_transient(self) -> PortDelTransientResult:
        """Removes the ports that are marked as transient from their bridges. Sessions that name them wait until they
        return.
        """
        return cast("PortDelTransientResult", self._caller.call("port.del_transient", given()))

    def list(self, *, bridge: str | Unset = UNSET) -> PortListResult:
        """The ports of one bridge or of all bridges, by name, including the bridges' own ports.

        bridge: Name of the bridge.
        """
        return cast("PortListResult", self._caller.call("port.list", given(bridge=bridge)))

    def get(self, *, name: str) -> Port:
        """One port.

        name: Name of the port.
        """
        return cast("Port", self._caller.call("port.get", given(name=name)))

    def set(self, *, name: str, options: dict[str, str | None] | Unset = UNSET, external_ids: dict[str, str | None] | Unset = UNSET, mtu_request: int | None | Unset = UNSET, tag: int | None | Unset = UNSET, trunks: List[int] | Unset = UNSET, vlan_mode: Literal["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", None] | Unset = UNSET, protected: bool | Unset = UNSET, transient: bool | Unset = UNSET, priority_tags: Literal["never", "if-nonzero", "always"] | Unset = UNSET, cvlans: List[int] | Unset = UNSET, qinq_ethtype: Literal["802.1ad", "802.1q"] | Unset = UNSET, ofport_request: int | None | Unset = UNSET, if_revision: str | Unset = UNSET) -> Port:
        """Changes the given settings and leaves the others.

        name: Name of the port.
        options: As in the Interface table: remote_ip (required) and the others of a tunnel, peer (required) of
            a patch port. port.set leaves those that are not given; null removes one.
        external_ids: external_ids of the interface, by which others know the port (iface-id, attached-mac,
            vsphere-port-key ...). Those that are not given stay; null removes one.
        mtu_request: MTU to give the device; null: leave it as it is.
        tag: Access or native VLAN; null: none.
        trunks: VLANs a trunk or native port carries; empty: all.
        vlan_mode: null: access if a tag is set, otherwise trunk.
        protected: Protected ports do not forward to each other [false].
        transient: The port belongs to something that does not outlive the host, such as a VM:
            port.del_transient and vswitchd --delete-transient-ports remove it [false].
        priority_tags: Whether frames leave with a tag of VLAN 0 that carries their priority [never].
        cvlans: Customer VLANs a dot1q-tunnel port carries; empty: all.
        qinq_ethtype: Outer tag that a dot1q-tunnel port pushes [802.1ad].
        ofport_request: Requested OpenFlow port number.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Port", self._caller.call("port.set", given(name=name, options=options, external_ids=external_ids, mtu_request=mtu_request, tag=tag, trunks=trunks, vlan_mode=vlan_mode, protected=protected, transient=transient, priority_tags=priority_tags, cvlans=cvlans, qinq_ethtype=qinq_ethtype, ofport_request=ofport_request, if_revision=if_revision)))


class MirrorMethods:
    """The methods mirror.*: `switch.mirror`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def add(self, *, bridge: str, name: str, sources: Sources, destination: Destination, description: str | Unset = UNSET, enabled: bool | Unset = UNSET, normal_io: bool | Unset = UNSET, mtu_policy: Literal["cut", "fragment", "drop", None] | Unset = UNSET, superframes: Literal["keep", "cut", None] | Unset = UNSET, snaplen: int | None | Unset = UNSET, cpu_budget: int | None | Unset = UNSET, sample: int | Unset = UNSET, rate: Rate | None | Unset = UNSET, filter: str | List[str] | None | Unset = UNSET, skip: str | List[str] | None | Unset = UNSET, expires: Expires | None | Unset = UNSET, may_exist: bool | Unset = UNSET) -> Mirror:
        """Creates a mirror session. Takes effect on the next frame. A port that does not exist yet is accepted: the
        reply then says state waiting, with the reason.

        bridge: Name of the bridge.
        name: Name of a mirror session, unique on its bridge. Anything printable, inner spaces included.
        description: Free text.
        enabled: false: configured, but copies nothing.
        normal_io: true: destination ports also carry their own traffic. false: they carry copies only.
        mtu_policy: Copies longer than the path MTU to an endpoint are truncated (and marked, in ERSPAN types II
            and III), sent in fragments, or dropped and counted. null: cut.
        superframes: GSO packets of local senders are kept whole, or segmented as they would be on a wire. null:
            kept for ports, segmented for endpoints.
        snaplen: Truncate copies to this many bytes, including tags; null: whole frames.
        cpu_budget: Percent of a processor that the kernel may spend on the session's copies; what is beyond is
            lost, by cause cpu_budget. null: no limit.
        sample: Copy one in this many selected frames, at random.
        rate: Limit per second on what is copied. A frame counts once, however many destinations it has; a burst
            may be 100 ms' worth. mirror.set leaves the limit that is not given; null clears it. null: no limit.
        filter: Copy only frames that match one of these (flow syntax of Open vSwitch, such as tcp,tp_dst=80);
            null or []: every frame.
        skip: Do not copy frames that match one of these, even if filter selects them; null or []: skip none.
        expires: What ends the session, whichever comes first. It then copies nothing; its row and counters
            stay. mirror.set leaves what is not given, unless the session has ended; null clears one of them.
            null: never.
        may_exist: No error if it already exists with these settings.
        """
        return cast("Mirror", self._caller.call("mirror.add", given(bridge=bridge, name=name, sources=sources, destination=destination, description=description, enabled=enabled, normal_io=normal_io, mtu_policy=mtu_policy, superframes=superframes, snaplen=snaplen, cpu_budget=cpu_budget, sample=sample, rate=rate, filter=filter, skip=skip, expires=expires, may_exist=may_exist)))

    def set(self, *, bridge: str, name: str, description: str | Unset = UNSET, enabled: bool | Unset = UNSET, sources: ChangedSources | Unset = UNSET, destination: ChangedDestination | Unset = UNSET, normal_io: bool | Unset = UNSET, mtu_policy: Literal["cut", "fragment", "drop", None] | Unset = UNSET, superframes: Literal["keep", "cut", None] | Unset = UNSET, snaplen: int | None | Unset = UNSET, cpu_budget: int | None | Unset = UNSET, sample: int | Unset = UNSET, rate: Rate | None | Unset = UNSET, filter: str | List[str] | None | Unset = UNSET, skip: str | List[str] | None | Unset = UNSET, expires: Expires | None | Unset = UNSET, if_revision: str | Unset = UNSET) -> Mirror:
        """Changes the given settings and leaves the others. If a change is refused, the session continues unchanged.

        bridge: Name of the bridge.
        name: Name of the session.
        description: Free text.
        enabled: false: configured, but copies nothing.
        sources: ports and all together define the watched ports: giving either one replaces both. vlans is
            replaced if it is given.
        destination: Members that are not given stay. But a member that the session does not have yet moves it
            there: ports, vlan, endpoints and what is recorded then replace each other, except that ports may be
            named for the vlan that it has.
        normal_io: true: destination ports also carry their own traffic. false: they carry copies only.
        mtu_policy: Copies longer than the path MTU to an endpoint are truncated (and marked, in ERSPAN types II
            and III), sent in fragments, or dropped and counted. null: cut.
        superframes: GSO packets of local senders are kept whole, or segmented as they would be on a wire. null:
            kept for ports, segmented for endpoints.
        snaplen: Truncate copies to this many bytes, including tags; null: whole frames.
        cpu_budget: Percent of a processor that the kernel may spend on the session's copies; what is beyond is
            lost, by cause cpu_budget. null: no limit.
        sample: Copy one in this many selected frames, at random.
        rate: Limit per second on what is copied. A frame counts once, however many destinations it has; a burst
            may be 100 ms' worth. mirror.set leaves the limit that is not given; null clears it. null: no limit.
        filter: Copy only frames that match one of these (flow syntax of Open vSwitch, such as tcp,tp_dst=80);
            null or []: every frame.
        skip: Do not copy frames that match one of these, even if filter selects them; null or []: skip none.
        expires: What ends the session, whichever comes first. It then copies nothing; its row and counters
            stay. mirror.set leaves what is not given, unless the session has ended; null clears one of them.
            null: never.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Mirror", self._caller.call("mirror.set", given(bridge=bridge, name=name, description=description, enabled=enabled, sources=sources, destination=destination, normal_io=normal_io, mtu_policy=mtu_policy, superframes=superframes, snaplen=snaplen, cpu_budget=cpu_budget, sample=sample, rate=rate, filter=filter, skip=skip, expires=expires, if_revision=if_revision)))

    def put(self, *, bridge: str, name: str, sources: Sources, destination: Destination, description: str | Unset = UNSET, enabled: bool | Unset = UNSET, normal_io: bool | Unset = UNSET, mtu_policy: Literal["cut", "fragment", "drop", None] | Unset = UNSET, superframes: Literal["keep", "cut", None] | Unset = UNSET, snaplen: int | None | Unset = UNSET, cpu_budget: int | None | Unset = UNSET, sample: int | Unset = UNSET, rate: Rate | None | Unset = UNSET, filter: str | List[str] | None | Unset = UNSET, skip: str | List[str] | None | Unset = UNSET, expires: Expires | None | Unset = UNSET, if_revision: str | Unset = UNSET, dry_run: bool | Unset = UNSET) -> MirrorPutResult:
        """Creates a session, or gives the one that exists exactly these settings: those that are not given get their
        defaults. expires.seconds counts from now on, so each request renews the session.

        bridge: Name of the bridge.
        name: Name of a mirror session, unique on its bridge. Anything printable, inner spaces included.
        description: Free text.
        enabled: false: configured, but copies nothing.
        normal_io: true: destination ports also carry their own traffic. false: they carry copies only.
        mtu_policy: Copies longer than the path MTU to an endpoint are truncated (and marked, in ERSPAN types II
            and III), sent in fragments, or dropped and counted. null: cut.
        superframes: GSO packets of local senders are kept whole, or segmented as they would be on a wire. null:
            kept for ports, segmented for endpoints.
        snaplen: Truncate copies to this many bytes, including tags; null: whole frames.
        cpu_budget: Percent of a processor that the kernel may spend on the session's copies; what is beyond is
            lost, by cause cpu_budget. null: no limit.
        sample: Copy one in this many selected frames, at random.
        rate: Limit per second on what is copied. A frame counts once, however many destinations it has; a burst
            may be 100 ms' worth. mirror.set leaves the limit that is not given; null clears it. null: no limit.
        filter: Copy only frames that match one of these (flow syntax of Open vSwitch, such as tcp,tp_dst=80);
            null or []: every frame.
        skip: Do not copy frames that match one of these, even if filter selects them; null or []: skip none.
        expires: What ends the session, whichever comes first. It then copies nothing; its row and counters
            stay. mirror.set leaves what is not given, unless the session has ended; null clears one of them.
            null: never.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        dry_run: Check everything, change nothing.
        """
        return cast("MirrorPutResult", self._caller.call("mirror.put", given(bridge=bridge, name=name, sources=sources, destination=destination, description=description, enabled=enabled, normal_io=normal_io, mtu_policy=mtu_policy, superframes=superframes, snaplen=snaplen, cpu_budget=cpu_budget, sample=sample, rate=rate, filter=filter, skip=skip, expires=expires, if_revision=if_revision, dry_run=dry_run)))

    def del_(self, *, bridge: str, name: str, if_exists: bool | Unset = UNSET, if_revision: str | Unset = UNSET) -> Removed:
        """Removes a session.

        bridge: Name of the bridge.
        name: Name of the session.
        if_exists: No error if it does not exist.
        if_revision: Refuse as changed unless this is the present revision: nobody has changed the settings
            since they were read.
        """
        return cast("Removed", self._caller.call("mirror.del", given(bridge=bridge, name=name, if_exists=if_exists, if_revision=if_revision)))

    def enable(self, *, bridge: str, name: str) -> Mirror:
        """Enables a session. If it has expired, it resumes and its limits count anew.

        bridge: Name of the bridge.
        name: Name of the session.
        """
        return cast("Mirror", self._caller.call("mirror.enable", given(bridge=bridge, name=name)))

    def disable(self, *, bridge: str, name: str) -> Mirror:
        """Disables a session and keeps its settings.

        bridge: Name of the bridge.
        name: Name of the session.
        """
        return cast("Mirror", self._caller.call("mirror.disable", given(bridge=bridge, name=name)))

    def list(self, *, bridge: str | Unset = UNSET) -> MirrorListResult:
        """The sessions of one bridge or of all bridges, by name, including those created by OVSDB clients.

        bridge: Name of the bridge.
        """
        return cast("MirrorListResult", self._caller.call("mirror.list", given(bridge=bridge)))

    def get(self, *, bridge: str, name: str) -> Mirror:
        """One session.

        bridge: Name of the bridge.
        name: Name of the session.
        """
        return cast("Mirror", self._caller.call("mirror.get", given(bridge=bridge, name=name)))

    def reset(self, *, bridge: str | Unset = UNSET, name: str | Unset = UNSET) -> MirrorResetResult:
        """Starts the counters of one session, of the sessions of a bridge, or of all sessions from zero, with those of
        their destinations. Copies that are queued meanwhile belong to the account that ends. Limits of `expires` go
        on counting.

        bridge: Name of the bridge.
        name: Name of the session; needs bridge.
        """
        return cast("MirrorResetResult", self._caller.call("mirror.reset", given(bridge=bridge, name=name)))

    def dump_record(self, *, bridge: str, name: str, clear: bool | Unset = UNSET) -> MirrorDumpRecordResult:
        """Writes the frames that a session with destination.record_bytes or record_seconds holds into a socket: one end
        of a pair (AF_UNIX, SOCK_SEQPACKET) that comes with the request (SCM_RIGHTS), in the form of
        schemas/capture_record.h. The socket is closed behind the last one. Recording goes on; frames that later ones
        overwrite before the client has read them are missing from recording.frames. It ends early if the session is
        deleted, or gets a recorder of another size. At most 4 dumps are written at the same time.

        bridge: Name of the bridge.
        name: Name of the session.
        clear: Forget these frames when the client, having read the end of the socket, has sent a byte.
        """
        return cast("MirrorDumpRecordResult", self._caller.call("mirror.dump_record", given(bridge=bridge, name=name, clear=clear)))

    def stats(self, *, bridge: str | Unset = UNSET, name: str | Unset = UNSET) -> MirrorStatsResult:
        """Counters of one session, of the sessions of a bridge, or of all sessions.

        bridge: Name of the bridge.
        name: Name of the session; needs bridge.
        """
        return cast("MirrorStatsResult", self._caller.call("mirror.stats", given(bridge=bridge, name=name)))

    def import_(self, *, bridge: str, sessions: List[VspanSession] | Unset = UNSET, vspanConfigSpec: List[VspanConfigSpec] | Unset = UNSET, ports: dict[str, str] | Unset = UNSET, uplinks: dict[str, str] | Unset = UNSET, strict: bool | Unset = UNSET, dry_run: bool | Unset = UNSET) -> MirrorImportResult:
        """Imports sessions from vSphere. The whole list is one change: all of it or nothing. A port of vSphere is
        looked up in ports and uplinks, then in external_ids of the bridge's interfaces (vsphere-port-key, iface-id,
        vsphere-uplink), and is otherwise taken as a port name. A session under sessions is created, or changed if
        one with its key exists (or, without a key, an imported one with its name); settings that vSphere does not
        have stay. docs/vsphere.md lists the fields.

        bridge: Name of the bridge.
        sessions: Sessions as in config.vspanSession of a distributed switch.
        vspanConfigSpec: Instead of sessions: changes as ReconfigureDvs_Task takes them.
        ports: Port keys and the ports they mean here.
        uplinks: Uplink port names and the ports they mean here.
        strict: Refuse what vSphere refuses, with the name of its fault in data.fault.
        dry_run: Check everything, change nothing.
        """
        return cast("MirrorImportResult", self._caller.call("mirror.import", given(bridge=bridge, sessions=sessions, vspanConfigSpec=vspanConfigSpec, ports=ports, uplinks=uplinks, strict=strict, dry_run=dry_run)))

    def export(self, *, bridge: str, name: str | Unset = UNSET) -> MirrorExportResult:
        """Sessions in the form of vSphere. Imported settings are returned unchanged. A list omits sessions that vSphere
        cannot have, with a warning; a session requested by name is refused, with the reason.

        bridge: Name of the bridge.
        name: Only this session.
        """
        return cast("MirrorExportResult", self._caller.call("mirror.export", given(bridge=bridge, name=name)))

    def explain(self, *, bridge: str, in_port: str | Unset = UNSET, frame: str | Unset = UNSET, next: MirrorExplainNext | Unset = UNSET) -> MirrorExplainResult:
        """What the switch would do with a frame, and why each session copies it or not. Nothing is sent or learned.

        bridge: Name of the bridge.
        in_port: Port the frame arrives on. Without it, `next` takes a frame of any port of the bridge.
        frame: The frame from its destination address on, without FCS, in hexadecimal. This or `next`.
        next: Waits for a frame and explains it with the state at its arrival. The answer is sent when the frame
            arrives, or as an error when the time is over; at most 8 requests can wait at a time.
        """
        return cast("MirrorExplainResult", self._caller.call("mirror.explain", given(bridge=bridge, in_port=in_port, frame=frame, next=next)))

    def who(self, *, port: str) -> MirrorWhoResult:
        """Every session that watches a port or delivers to it.

        port: Name of the port.
        """
        return cast("MirrorWhoResult", self._caller.call("mirror.who", given(port=port)))


class FdbMethods:
    """The methods fdb.*: `switch.fdb`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, bridge: str) -> FdbListResult:
        """The addresses a bridge has learned.

        bridge: Name of the bridge.
        """
        return cast("FdbListResult", self._caller.call("fdb.list", given(bridge=bridge)))

    def flush(self, *, bridge: str) -> FdbFlushResult:
        """Forgets the addresses a bridge has learned.

        bridge: Name of the bridge.
        """
        return cast("FdbFlushResult", self._caller.call("fdb.flush", given(bridge=bridge)))


class SystemMethods:
    """The methods system.*: `switch.system`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def info(self) -> SystemInfoResult:
        """The daemon that answers: its versions, process, size and privileges."""
        return cast("SystemInfoResult", self._caller.call("system.info", given()))

    def stats(self) -> SystemStatsResult:
        """Counters of ports and threads, and what was dropped, by reason."""
        return cast("SystemStatsResult", self._caller.call("system.stats", given()))

    def check(self) -> SystemCheckResult:
        """Whether the switch is well, and if not, what it is. critical: a session or port in error, changes that are
        not on disk. warning: a session or port that waits, a port that is down or whose isolation from the host is
        lost, copies lost in the last minute, no fast path. note: worth knowing, such as a setting without effect or
        an internal port that no host uses.
        """
        return cast("SystemCheckResult", self._caller.call("system.check", given()))

    def metrics(self) -> SystemMetricsResult:
        """All counters and states as text for Prometheus. Exposition format 0.0.4. docs/monitoring.md lists the
        metrics.
        """
        return cast("SystemMetricsResult", self._caller.call("system.metrics", given()))

    def events(self, *, after: int | Unset = UNSET, since: str | Unset = UNSET, seconds: int | Unset = UNSET, topics: List[Topic] | Unset = UNSET, bridge: str | Unset = UNSET, name: str | Unset = UNSET, limit: int | Unset = UNSET) -> SystemEventsResult:
        """What has happened: the last 10000 changes, states, losses and refusals, the oldest first. They outlive the
        daemon. The params select; without any, these are the last 1000.

        after: Only those with a higher number.
        since: Only those from this time on, ISO 8601.
        seconds: Only those of the last so many seconds.
        topics: Only these. Default: all.
        bridge: Only those about this bridge, its ports and its sessions.
        name: Only those about the port or session of this name.
        limit: At most so many, the last ones.
        """
        return cast("SystemEventsResult", self._caller.call("system.events", given(after=after, since=since, seconds=seconds, topics=topics, bridge=bridge, name=name, limit=limit)))

    def config(self) -> Config:
        """The settings of the switch as a whole (Open_vSwitch other_config)."""
        return cast("Config", self._caller.call("system.config", given()))

    def set_config(self, *, config: dict[str, str | None]) -> Config:
        """Changes settings of the switch as a whole; those that are not given stay. schemas/README.md lists them.

        config: null removes one.
        """
        return cast("Config", self._caller.call("system.set_config", given(config=config)))

    def export(self, *, bridge: str | Unset = UNSET) -> SystemExportResult:
        """Everything that users have set, as one document for system.apply: no state, no statistics.

        bridge: Only this bridge, without the settings of the switch as a whole.
        """
        return cast("SystemExportResult", self._caller.call("system.export", given(bridge=bridge)))

    def apply(self, *, document: Document, bridge: str | Unset = UNSET, prune: bool | Unset = UNSET, dry_run: bool | Unset = UNSET) -> SystemApplyResult:
        """Gives the bridges, ports and sessions of a document exactly the settings that it gives them, all or none.
        What it does not have stays, unless prune is given. At most 32,768 bridges, ports and sessions in a document.

        document: Settings of a switch as text (docs/settings-as-text.md).
        bridge: Only this bridge of the document, and not its config.
        prune: Remove what the document does not have: bridges, and of each config, ports and mirrors that it
            gives. What a document cannot have stays, see kept.
        dry_run: Check everything, change nothing.
        """
        return cast("SystemApplyResult", self._caller.call("system.apply", given(document=document, bridge=bridge, prune=prune, dry_run=dry_run)))


class LogMethods:
    """The methods log.*: `switch.log`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self) -> LogLevels:
        """The areas of the log and their levels."""
        return cast("LogLevels", self._caller.call("log.list", given()))

    def set(self, *, level: Literal["off", "err", "warn", "info", "dbg"], area: str | Unset = UNSET, destination: Literal["console", "file"] | Unset = UNSET) -> LogLevels:
        """Sets the level of one area of the log, or of all, until the daemon ends.

        area: As log.list names it [all].
        destination: [both]
        """
        return cast("LogLevels", self._caller.call("log.set", given(level=level, area=area, destination=destination)))


class DatabaseMethods:
    """The methods database.*: `switch.database`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def compact(self) -> DatabaseCompactResult:
        """Writes the database file anew, without its history."""
        return cast("DatabaseCompactResult", self._caller.call("database.compact", given()))

    def backup(self) -> DatabaseBackupResult:
        """The whole database as the text of a file. vswitchd --db FILE starts with it, and so does ovsdb-server."""
        return cast("DatabaseBackupResult", self._caller.call("database.backup", given()))


class RpcMethods:
    """The methods rpc.*: `switch.rpc`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def discover(self) -> dict[str, Any]:
        """This document."""
        return cast("dict[str, Any]", self._caller.call("rpc.discover", given()))


class Methods:
    """All methods, by their noun."""

    def __init__(self, caller: Caller) -> None:
        self.bridge = BridgeMethods(caller)
        self.port = PortMethods(caller)
        self.mirror = MirrorMethods(caller)
        self.fdb = FdbMethods(caller)
        self.system = SystemMethods(caller)
        self.log = LogMethods(caller)
        self.database = DatabaseMethods(caller)
        self.rpc = RpcMethods(caller)
