// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/status.h"

#include <map>
#include <string>

#include "datapath/engine/datapath.h"
#include "switchd/base/log.h"
#include "switchd/base/wall_clock.h"
#include "switchd/bridge/identity.h"
#include "switchd/bridge/notices.h"
#include "switchd/bridge/row_writer.h"
#include "switchd/bridge/statistics.h"
#include "switchd/bridge/switch_view.h"

namespace vswitch::bridge {

namespace {

using ovsdb::Transaction;
using ovsdb::Uuid;

const log::Module kSessions{"mirror"};
const log::Module kUnsupported{"unsupported"};

constexpr const char* kXdp =
    "an XDP program on the device comes before the switch, which gets only what it lets through "
    "(ip link show)";

/// To the second.
std::string now_text() {
  return iso_time(wall_now_ms() / 1000 * 1000);
}

/// Once: when the row does not say it yet.
void warn_of(const Unsupported& unsupported, RowWriter& row, const std::string& whose) {
  for (const auto& [column, sentence] : unsupported) {
    if (row.row() != nullptr && row.row()->value("status", column) == nullptr)
      log::warn(kUnsupported, "{}: {}: {}", whose, column, sentence);
  }
}

/// What is worth knowing of a device that works: warnings, and where it is if one would not look there. `shared`: who
/// else uses it, as a sentence.
std::map<std::string, std::string> remarks(const DesiredInterface& interface, const Attachment& attachment,
                                           const netlink::Link* link, const std::string& shared) {
  std::map<std::string, std::string> status;
  const bool is_elsewhere = attachment.open() != nullptr && attachment.open()->elsewhere;
  const bool is_renamed = link != nullptr && link->name != interface.name;
  if (is_elsewhere) status["device"] = link->name + " in another network namespace";
  if (is_renamed && !is_elsewhere) status["device"] = link->name;
  const bool has_xdp = link != nullptr && link->xdp && interface.type == InterfaceType::system;
  std::string warning = has_xdp ? kXdp : "";
  for (const std::string& one :
       {is_renamed && !is_elsewhere ? "the device is called " + link->name + " now" : "",
        attachment.not_isolated, attachment.not_configured, shared})
    warning += (warning.empty() || one.empty() ? "" : "; ") + one;
  if (!warning.empty()) status["warning"] = warning;
  return status;
}

/// `copies_only`: the sessions that make it carry only copies; so for write_tunnel(). `shared`: who else uses
/// the device, as a sentence.
void write_link(RowWriter& row, const DesiredInterface& interface, const Attachment& attachment,
                const netlink::Link* link, const std::string& copies_only, const std::string& shared) {
  std::map<std::string, std::string> status;
  const bool works = attachment.works();
  if (!works) {
    const bool may_come =
        interface.refusal.empty() && (link == nullptr || attachment.is(AttachmentState::failed));
    status["state"] = may_come ? "waiting" : "error";
    status["reason"] = attachment.error();
  } else if (!interface.trouble.empty()) {
    status["state"] = "waiting";
    status["reason"] = interface.trouble;
  } else if (link == nullptr || (link->up && (link->carrier || interface.type == InterfaceType::internal))) {
    status["state"] = "up";
  } else {
    status["state"] = "down";
    status["reason"] = link->up ? "no carrier: the other end is down"
                       : interface.type == InterfaceType::internal
                           ? "no host uses it (ip link set " + link->name + " up)"
                           : "the device is down (ip link set " + link->name + " up)";
  }
  if (works) status.merge(remarks(interface, attachment, link, shared));
  if (!copies_only.empty()) status["copies_only"] = copies_only;
  if (works && !attachment.egress.empty()) status["egress"] = attachment.egress;
  warn_of(interface.unsupported, row, "interface " + interface.name);
  status.insert(interface.unsupported.begin(), interface.unsupported.end());
  if (link != nullptr && works) {
    status["driver_name"] = interface.type == InterfaceType::internal ? "tun"
                            : link->kind.empty()                      ? "unknown"
                                                                      : link->kind;
    row.set("admin_state", std::string(link->up ? "up" : "down"));
    row.set("link_state", std::string(link->carrier ? "up" : "down"));
    row.set("link_resets", static_cast<std::int64_t>(attachment.earlier_resets + link->link_resets));
    row.set("ifindex", std::int64_t{link->ifindex});
    row.set("mtu", static_cast<std::int64_t>(link->mtu));
    row.set("mac_in_use", link->mac.to_string());
    link->speed ? row.set("link_speed", static_cast<std::int64_t>(*link->speed)) : row.clear("link_speed");
    row.set("duplex", std::string(!link->full_duplex ? "" : *link->full_duplex ? "full" : "half"));
  } else if (!works && row.row()->integer("ifindex")) {  // of a device that was there before
    row.set("link_state", std::string("down"));
    row.set("ifindex", std::int64_t{0});
    for (const char* column : {"admin_state", "mtu", "mac_in_use", "link_speed", "duplex"}) row.clear(column);
  }
  row.set("status", status);
}

/// The status of a tunnel as Open vSwitch reports it, and what is wrong with the path.
void write_tunnel(RowWriter& row, const Endpoints::Entry& entry, const netlink::LinkMonitor& links,
                  const std::string& copies_only) {
  std::map<std::string, std::string> status{{"state", entry.trouble().empty() ? "up" : "down"}};
  if (!entry.trouble().empty()) status["reason"] = entry.trouble();
  if (!entry.route.device.empty()) {
    const netlink::Link* link = links.find(entry.route.device);
    status["tunnel_egress_iface"] = entry.route.device;
    status["tunnel_egress_iface_carrier"] = link != nullptr && link->carrier ? "up" : "down";
  }
  if (!copies_only.empty()) status["copies_only"] = copies_only;
  row.set("admin_state", std::string("up"));
  row.set("link_state", std::string("up"));
  row.set("status", status);
}

/// Why the interface is not a port, or carries nothing; empty if all is well.
std::string error_of(const DesiredInterface& interface, const Attachment& attachment, std::int64_t ofport) {
  if (!attachment.error().empty()) return attachment.error();
  if (ofport == kNoOfport)
    return "limit of " + std::to_string(kMaxOfport) + " OpenFlow port numbers per bridge reached";
  return interface.trouble;
}

void write_interfaces(const SwitchStatus& status, const DesiredBridge& bridge, Transaction& transaction) {
  const SnapshotRegistry::BridgeEntry* entry = status.registry.bridge(bridge.spec.name);
  const auto reserved =
      entry == nullptr ? std::map<std::string, std::string>() : ports_with_only_copies(entry->spec);
  for (const DesiredInterface& interface : bridge.interfaces) {
    const Attachment* attachment = status.attachments.find(interface.name);
    const auto ofport = status.ofports.find(interface.row);
    RowWriter row(transaction, "Interface", interface.row);
    if (attachment == nullptr || ofport == status.ofports.end() || row.row() == nullptr) continue;
    row.set("error", error_of(interface, *attachment, ofport->second));
    row.set("ofport", ofport->second);
    const Endpoints::Entry* endpoint = status.endpoints.find(interface.row);
    const auto found = reserved.find(interface.name);
    const std::string copies_only = found == reserved.end() ? "" : found->second;
    if (endpoint != nullptr && attachment->open() != nullptr) {
      write_tunnel(row, *endpoint, status.links, copies_only);
      continue;
    }
    write_link(row, interface, *attachment,
               has_device(interface.type) ? status.attachments.link(interface.name) : nullptr, copies_only,
               status.shared_devices.of(interface.name));
  }
}

/// What a bridge is configured to do but does not, or not as a row says, in a column that stock clients show:
/// they do not know our columns of Mirror.
std::map<std::string, std::string> refused_by(const SwitchStatus& status, const DesiredBridge& bridge) {
  std::map<std::string, std::string> refused;
  for (const SessionStatus& session : status.sessions) {
    if (session.bridge != bridge.spec.name) continue;
    const bool is_refused = session.state == SessionState::error;
    const bool is_over = session.state == SessionState::disabled || session.state == SessionState::expired;
    const std::string& said = is_refused ? session.reason : session.notice;
    if (!is_over && !said.empty()) refused["mirror " + session.name] = said;
  }
  refused.insert(bridge.unsupported.begin(), bridge.unsupported.end());
  return refused;
}

void write_bridge(const SwitchStatus& status, const DesiredBridge& bridge, Transaction& transaction) {
  RowWriter row(transaction, "Bridge", bridge.row);
  warn_of(bridge.unsupported, row, "bridge " + bridge.spec.name);
  row.set("status", refused_by(status, bridge));
  for (const DesiredInterface& interface : bridge.interfaces) {
    RowWriter port(transaction, "Port", interface.port_row);
    warn_of(interface.unsupported_of_port, port, "port " + interface.name);
    port.set("status", interface.unsupported_of_port);
  }
}

void write_endpoints(const SwitchStatus& status, Transaction& transaction) {
  for (const DesiredBridge& bridge : status.desired.bridges) {
    for (const auto& of_session : bridge.endpoints) {
      for (const DesiredEndpoint& desired : of_session) {
        std::map<std::string, std::string> columns{{"state", "error"}, {"reason", desired.refusal}};
        if (const Endpoints::Entry* entry = status.endpoints.find(desired.row)) {
          const bool works = entry->trouble().empty();
          columns = {{"state", works ? "active" : "waiting"}};
          if (!works) columns["reason"] = entry->trouble();
          if (!entry->route.device.empty()) columns["device"] = entry->route.device;
          if (entry->route.source) columns["source"] = entry->route.source->to_string();
          if (entry->route.mtu != 0) columns["mtu"] = std::to_string(entry->route.mtu);
        }
        RowWriter(transaction, "Mirror_Endpoint", desired.row).set("status", columns);
      }
    }
  }
}

}  // namespace

void write_session_status(const SwitchStatus& status, Transaction& transaction) {
  const TimeNs now = steady_now();
  for (const SessionStatus& session : status.sessions) {
    const auto uuid = Uuid::parse(session.id);
    if (!uuid) continue;
    RowWriter row(transaction, "Mirror", *uuid);
    if (row.row() == nullptr) continue;
    const auto before = row.row()->map("status");
    std::map<std::string, std::string> after{{"state", std::string(name(session.state))}};
    if (!session.reason.empty()) after["reason"] = session.reason;
    auto earlier = before;
    earlier.erase("since");
    earlier.erase("notice");
    const auto since = before.find("since");
    after["since"] = earlier == after && since != before.end() ? since->second : now_text();
    std::string notice = notice_of(status.registry, session, status.host_addresses.at(now), now);
    const auto noticed = before.find("notice");
    if (!notice.empty()) {
      if (noticed == before.end()) log::warn(kSessions, "{}/{}: {}", session.bridge, session.name, notice);
      after["notice"] = std::move(notice);
    }
    row.set("status", after);
    // Whatever ended it: a restart does not revive it.
    if (session.ended_at) row.set("expires_at", *session.ended_at);
  }
}

void write_status(const SwitchStatus& status, Transaction& transaction) {
  for (const DesiredBridge& bridge : status.desired.bridges) {
    write_interfaces(status, bridge, transaction);
    write_bridge(status, bridge, transaction);
  }
  write_session_status(status, transaction);
  write_endpoints(status, transaction);
}

void write_next_cfg(const Uuid& root, std::int64_t next_cfg, Transaction& transaction) {
  RowWriter(transaction, "Open_vSwitch", root).set("cur_cfg", next_cfg);
}

}  // namespace vswitch::bridge
