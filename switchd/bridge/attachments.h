// SPDX-License-Identifier: Apache-2.0
// The devices behind the ports: opened when they appear, closed when they disappear, however often.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/port.h"
#include "switchd/bridge/attachment.h"
#include "switchd/bridge/desired.h"
#include "switchd/bridge/endpoints.h"
#include "switchd/bridge/internal_devices.h"
#include "switchd/model/datapath_settings.h"
#include "switchd/netlink/egress_monitor.h"
#include "switchd/netlink/host_isolation.h"
#include "switchd/netlink/link_monitor.h"

namespace vswitch::bridge {

class Attachments {
 public:
  static constexpr std::size_t kOpenedTogether = 32;  ///< per turn, and at any time

  /// `mirror_senders` of the senders send copies. `go_on` is called on any thread when reconcile() must be
  /// called again.
  /// `filter`: AfPacketOptions::filter of ports that are isolated.
  Attachments(netlink::LinkMonitor& links, netlink::HostIsolation& isolation, int filter,
              const netlink::EgressMonitor& egress, InternalDevices& internal_devices,
              const Endpoints& endpoints, std::size_t senders, std::size_t mirror_senders,
              std::function<void()> go_on)
      : links_(links),
        isolation_(isolation),
        filter_(filter),
        egress_(egress),
        internal_devices_(internal_devices),
        endpoints_(endpoints),
        senders_(senders),
        mirror_senders_(mirror_senders),
        go_on_(std::move(go_on)) {}

  /// For devices that are opened from now on.
  void set_port_settings(const model::DatapathSettings::Ports& settings) REQUIRES(roles::control) {
    settings_ = settings;
  }
  /// Opens the devices that `desired` asks for and that can be opened, sets MTU and MAC, and retires those
  /// that are not wanted any more or have been replaced. Retired devices stay open until close_retired(), for
  /// workers and queued copies that still use them. Returns false if more turns of the event loop are needed,
  /// because threads are opening devices or there are many. Then the result of find() must not be used until
  /// another call has returned true.
  [[nodiscard]] bool reconcile(const Desired& desired) REQUIRES(roles::control);
  bool has_retired() const { return !retired_.empty(); }
  /// Call when no snapshot refers to retired devices any more.
  void close_retired() REQUIRES(roles::control);

  /// The daemon ends: the host gets its devices back. Those of internal ports stay, unless `removes_internal`.
  /// No more devices will be opened: what was kept ready for that is closed on a helper thread.
  void release_all(bool removes_internal) REQUIRES(roles::control);

  /// Call about once a second: a stopped receive ring is noticed when the overruns of its port are read.
  void poll() REQUIRES(roles::control);
  /// Looks at devices in other network namespaces. True if something has changed: start a walk.
  [[nodiscard]] bool look_elsewhere() REQUIRES(roles::control);

  /// Looks whether the host's stack is still kept away from devices, and keeps it away again. `ifindexes`: of
  /// these, or of all if it is empty. True if the state of a port has changed: start a walk.
  [[nodiscard]] bool look_at_isolation(const std::set<int>& ifindexes) REQUIRES(roles::control);
  /// The same for a few of all, in turns. Call about once a second.
  [[nodiscard]] bool look_at_some_isolation() REQUIRES(roles::control);

  /// The host has put something on a device, or removed it, since reconcile().
  bool is_egress_outdated() const;

  /// nullptr for an interface that is not wanted.
  const Attachment* find(const std::string& interface) const;
  /// The device of an interface, whatever it is called and wherever it is; nullptr if there is none.
  const netlink::Link* link(const std::string& interface) const;
  /// The device of an internal port has this name, which is not that of the interface.
  bool has_renamed(const std::string& device) const;
  /// A device could not be opened for a reason that may be temporary.
  bool wants_retry() const;

 private:
  void reconcile_interface(const DesiredInterface& interface);
  bool may_open() const { return opening_ + opened_ < kOpenedTogether; }
  bool is_obsolete(const DesiredInterface& interface, Attachment& attachment);
  bool is_tried(const DesiredInterface& interface, const Attachment& attachment) const;
  void try_to_open(const DesiredInterface& interface, Attachment& attachment);
  void try_system(const DesiredInterface& interface, Attachment& attachment, const std::string& earlier);
  void try_tunnel(const DesiredInterface& interface, Attachment& attachment);
  void try_internal(const DesiredInterface& interface, Attachment& attachment);
  int filter_of(const Attachment& attachment) const;
  void begin_opening(const netlink::Link& link, Attachment& attachment, const std::string& earlier);
  void finish_opening(Attachment& attachment);
  void fail(Attachment& attachment, int ifindex, const std::exception& error);
  void log_change(const DesiredInterface& interface, const Attachment& attachment,
                  const std::string& earlier) const;
  void configure(const DesiredInterface& interface, Attachment& attachment);
  std::string egress_of(const std::string& name, const Attachment& attachment) const;
  void choose_path(const DesiredInterface& interface, Attachment& attachment);
  static std::optional<MacAddr> mac_to_set(const DesiredInterface& interface, Open& open);
  void set_followed_mtus(const DesiredBridge& bridge);
  std::optional<std::uint32_t> smallest_mtu(const DesiredBridge& bridge) const;
  /// `device_stays`: of an internal port.
  void retire(Attachment& attachment, bool device_stays = false);
  void give_back(int ifindex);
  bool look_at_isolation(const std::string& interface, Attachment& attachment);

  netlink::LinkMonitor& links_;
  netlink::HostIsolation& isolation_;
  const int filter_;
  const netlink::EgressMonitor& egress_;
  InternalDevices& internal_devices_;
  const Endpoints& endpoints_;
  const std::size_t senders_;
  const std::size_t mirror_senders_;
  model::DatapathSettings::Ports settings_;
  const std::function<void()> go_on_;
  std::unique_ptr<RingStock> rings_ = std::make_unique<RingStock>();
  std::map<std::string, Attachment> by_name_;
  std::string looked_at_;     ///< the interface that look_at_some_isolation() looked at last
  std::size_t opening_ = 0;   ///< attachments in the state `opening`
  std::size_t opened_ = 0;    ///< by reconcile() itself, in this call
  bool is_complete_ = true;   ///< reconcile() has nothing left to wait for
  bool has_cleaned_ = false;  ///< devices of internal ports that are gone
  /// Calls of reconcile() up to one that returns true. In each round a thread opens a device at most once.
  std::uint64_t round_ = 1;
  std::shared_ptr<std::atomic<std::size_t>> threads_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::vector<std::shared_ptr<Port>> retired_;
  std::vector<std::future<void>> closing_;
};

}  // namespace vswitch::bridge
