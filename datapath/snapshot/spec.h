// SPDX-License-Identifier: Apache-2.0
// The desired configuration of the switch, in plain values: the input of compile(). switchd makes it from the
// database, tests write it down. == compares devices and endpoints by address, everything else by content.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datapath/mirror/capture_sink.h"
#include "datapath/mirror/copy_shape.h"
#include "datapath/mirror/filter_rules.h"
#include "datapath/mirror/limits.h"
#include "datapath/port/port.h"
#include "datapath/switching/mac_table.h"
#include "datapath/switching/vlan.h"
#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch {

/// The end of a tunnel: an endpoint and what is wrong with the path to it.
struct EndpointSpec {
  std::string name;                                  ///< unique in its session, and stable
  std::string label;                                 ///< for display: "10.0.0.1 (erspan2)"
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< null if it cannot be created
  std::optional<IpAddress> source;                   ///< the source address of its packets, if known
  std::string trouble;  ///< not empty: why nothing reaches it at present, as a sentence

  bool operator==(const EndpointSpec&) const = default;
};

struct PortSpec {
  std::string name;  ///< unique in its bridge
  VlanPolicy vlan;
  bool is_protected = false;
  std::shared_ptr<Port> device;   ///< null if there is none
  bool link_up = true;            ///< frames sent to the device arrive somewhere
  std::size_t mtu = 0;            ///< of a network device, in bytes without Ethernet header; 0 = unknown
  bool on_ordinary_path = false;  ///< Port::use_ordinary_path()
  bool no_host = false;           ///< an internal port that the host does not use: what it misses is no loss
  bool is_patch = false;
  std::string patch_peer;                            ///< name of the other end
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< of a tunnel port
  std::optional<IpAddress> tunnel_source = {};
  std::string tunnel_trouble;  ///< not empty: why nothing gets through the tunnel, as a sentence

  bool operator==(const PortSpec&) const = default;
};

enum class Direction : std::uint8_t { from, to, both };

inline constexpr std::size_t kMaxSessions = 4096;  ///< on one bridge

struct SourceSpec {
  std::string port;
  Direction direction = Direction::both;

  bool operator==(const SourceSpec&) const = default;
};

/// The settings of a session that the pipeline reads as they are: they are part of its spec and of what is
/// compiled from it.
struct CopySettings {
  SharedRules rules;  ///< selects by headers; null = every frame
  CopyTags tags;
  std::size_t snaplen = kWholeFrame;  ///< maximum length of a copy in bytes, tags included
  GsoPackets gso_packets = GsoPackets::by_destination;
  MtuPolicy mtu_policy = MtuPolicy::truncate;  ///< for copies to endpoints
  std::uint32_t sample = 1;                    ///< one frame in this many is copied, at random

  bool operator==(const CopySettings&) const = default;
};

/// A session, in the datapath if it is enabled.
struct SessionSpec : CopySettings {
  std::string id;  ///< unique and stable
  std::string name;
  bool enabled = true;  ///< false: it copies nothing and occupies no port; its counters are kept
  std::vector<SourceSpec> sources;
  bool all_ports = false;     ///< every port except the session's own destinations, in both directions
  std::vector<VlanId> vlans;  ///< empty = any
  std::vector<std::string>
      destinations;  ///< with an output VLAN: only these; empty = all ports that carry it
  std::vector<EndpointSpec> endpoints = {};
  std::shared_ptr<CaptureSink> capture = {};  ///< a program that reads the copies, instead of all these
  bool normal_io = false;                     ///< destinations carry their own traffic too
  RateSpec rate = {};
  QuotaSpec quota = {};
  std::uint32_t cpu_budget = 0;  ///< percent of a processor for copies by the kernel; 0 = no limit
  std::uint64_t life = 0;        ///< a new value starts its quota from zero

  bool operator==(const SessionSpec&) const = default;
};

struct BridgeSpec {
  std::string name;
  std::vector<PortSpec> ports;
  std::vector<SessionSpec> sessions;  ///< in the order in which they are tried
  std::vector<VlanId> flood_vlans;    ///< without learning, as requested
  std::vector<VlanId> copy_vlans;     ///< without learning, because they hold copies of sessions
  bool forward_bpdu = false;
  bool secure = false;
  std::size_t mac_table_size = MacTable::kDefaultCapacity;
  TimeNs mac_aging = MacTable::kDefaultAging;

  bool operator==(const BridgeSpec&) const = default;
};

/// How the threads of the datapath work.
struct WorkSpec {
  TimeNs spin =
      0;  ///< how long a worker polls for frames before it sleeps (datapath/engine/spin.h); 0 = never
  TimeNs gather =
      100'000;  ///< how long a worker under load lets frames gather (datapath/engine/gather.h); 0 = never
  std::size_t session_queue_bytes = 0;  ///< limit per session in each worker's mirror queue; 0 = half of it
  unsigned mirror_share =
      25;  ///< of a processor, in percent: what a mirror thread gets next to a busy worker
  std::uint64_t sample_seed = 0;  ///< a change restarts the workers' random numbers
  /// Thread i runs on the processor at position i modulo their number; empty = on any.
  std::vector<unsigned> worker_cpus = {};
  std::vector<unsigned> mirror_cpus = {};

  bool operator==(const WorkSpec&) const = default;
};

struct SwitchSpec {
  std::vector<BridgeSpec> bridges;
  WorkSpec work = {};
};

/// Null if there is no such port.
const PortSpec* find_port(const BridgeSpec& bridge, const std::string& name);

/// Its destination ports carry only copies. A port that carries an output VLAN carries other VLANs too.
bool reserves_destinations(const SessionSpec& session);

/// Its copies leave on every port that carries the output VLAN.
bool leaves_in_vlan(const SessionSpec& session);

/// The VLANs that hold its copies, where no address is learned: copies of several switches meet in an RSPAN
/// VLAN, and an address in it does not say where its host is.
std::vector<VlanId> copy_vlans(const SessionSpec& session);

/// The names of the patch ports whose peers name them in return. Names of patch ports are unique in the
/// switch.
std::set<std::string> connected_patches(const SwitchSpec& spec);

}  // namespace vswitch
