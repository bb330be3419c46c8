// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/attachments.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <system_error>
#include <utility>

#include "datapath/port/af_packet_port.h"
#include "datapath/port/tap_port.h"
#include "datapath/port/tunnel_port.h"
#include "switchd/log.h"

namespace vswitch {

namespace {

const log::Module kLog{"port"};

constexpr std::size_t kOpenedTogether = 32;  // ports, each by a thread

std::string no_device(const std::string& name) {
  return "could not open network device " + name +
         " (No such device)";  // the sentence of Open vSwitch, scripts know it
}

std::string renamed(const std::string& name) {
  return "something renames the device " + name + " that the switch makes, such as a rule of udev";
}

std::shared_ptr<Endpoint> endpoint_of(const Endpoints& endpoints, const DesiredInterface& interface) {
  const Endpoints::Entry* entry = endpoints.find(interface.row);
  return entry == nullptr ? nullptr : entry->endpoint;
}

}  // namespace

void Attachments::follow(const Desired& desired) {
  std::set<std::string> wanted;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) wanted.insert(interface.name);
  }
  for (auto it = by_name_.begin(); it != by_name_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    retire(it->second);
    it = by_name_.erase(it);
  }
  std::vector<Opening> openings;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) {
      follow_interface(interface, openings);
      if (openings.size() == kOpenedTogether) conclude(openings);
    }
  }
  conclude(openings);
}

void Attachments::follow_interface(const DesiredInterface& interface, std::vector<Opening>& openings) {
  Attachment& attachment = by_name_[interface.name];
  const bool is_tunnel = interface.type == InterfaceType::tunnel;
  const Link* link = has_device(interface.type) ? links_.find(interface.name) : nullptr;
  const bool is_other_device = is_tunnel ? attachment.endpoint != endpoint_of(endpoints_, interface) ||
                                               attachment.not_to != interface.not_to
                                         : link == nullptr || link->generation != attachment.generation;
  const bool is_renamed = link == nullptr && attachment.device != nullptr &&
                          attachment.type == InterfaceType::internal &&
                          links_.find(attachment.ifindex) != nullptr;
  if (attachment.device != nullptr &&
      (attachment.type != interface.type || !interface.refusal.empty() || is_other_device)) {
    const bool gone = link == nullptr && has_device(interface.type);
    log::info(kLog, "{}: device {}", interface.name, gone ? "is gone" : "is closed");
    retire(attachment);
  }
  attachment.type = interface.type;
  if (attachment.device == nullptr) {
    const std::string earlier = std::exchange(attachment.error, interface.refusal);
    attachment.may_pass = attachment.error.empty() && is_renamed;
    if (attachment.may_pass) attachment.error = renamed(interface.name);  // and would be again, at once
    const bool possible = attachment.error.empty();
    if (possible && interface.type == InterfaceType::system && prepare_system(interface, attachment)) {
      openings.push_back({interface, attachment, earlier, open_system(attachment, interface.name)});
      return;
    }
    if (possible && interface.type == InterfaceType::internal) attach_internal(interface, attachment);
    if (possible && is_tunnel) attach_tunnel(interface, attachment);
    tell(interface, attachment, earlier);
  }
  if (attachment.device != nullptr && has_device(interface.type)) configure(interface, attachment);
}

void Attachments::tell(const DesiredInterface& interface, const Attachment& attachment,
                       const std::string& earlier) const {
  if (!attachment.error.empty() && attachment.error != earlier)
    log::warn(kLog, "{}: {}", interface.name, attachment.error);
  if (attachment.device != nullptr && interface.tunnel)
    log::info(kLog, "{}: attached, tunnel to {}", interface.name, interface.tunnel->label);
  else if (attachment.device != nullptr)
    log::info(kLog, "{}: attached, ifindex {}", interface.name, attachment.ifindex);
}

/// Everything but the opening. False when there is nothing to open, with the reason in the attachment.
bool Attachments::prepare_system(const DesiredInterface& interface, Attachment& attachment) {
  const Link* link = links_.find(interface.name);
  if (link == nullptr) {
    attachment.error = no_device(interface.name);
    return false;
  }
  if (!link->ethernet) {
    attachment.error = interface.name + " is not an Ethernet device and cannot be a port";
    return false;
  }
  attachment.ifindex = link->ifindex;
  attachment.generation = link->generation;
  const std::string trouble = isolation_.isolate(link->ifindex).value_or("");
  if (!trouble.empty() && trouble != attachment.not_isolated)
    log::warn(kLog, "{}: {}", interface.name, trouble);
  attachment.not_isolated = trouble;
  return true;
}

/// Several ports are opened at once: see RingStock.
std::future<std::unique_ptr<Port>> Attachments::open_system(const Attachment& attachment,
                                                            const std::string& name) {
  return std::async(std::launch::async, open_af_packet_port,
                    AfPacketOptions{.name = name,
                                    .ifindex = attachment.ifindex,
                                    .senders = senders_,
                                    .stock = &rings_,
                                    .mirror_senders = mirror_senders_});
}

void Attachments::conclude(std::vector<Opening>& openings) {
  for (Opening& opening : openings) {
    Attachment& attachment = opening.attachment;
    try {
      attachment.device = opening.port.get();
    } catch (const std::system_error& error) {
      give_back(attachment.ifindex);
      attachment.ifindex = 0;
      attachment.generation = 0;
      attachment.error = error.what();
      attachment.may_pass = true;
    }
    tell(opening.interface, attachment, opening.earlier);
    if (attachment.device != nullptr) configure(opening.interface, attachment);
  }
  openings.clear();
}

void Attachments::attach_tunnel(const DesiredInterface& interface, Attachment& attachment) {
  const Endpoints::Entry* entry = endpoints_.find(interface.row);
  try {
    if (entry->endpoint == nullptr) throw std::runtime_error(entry->error);
    attachment.device = open_tunnel_port(entry->endpoint, senders_, interface.not_to);
    attachment.endpoint = entry->endpoint;
    attachment.not_to = interface.not_to;
  } catch (const std::runtime_error& error) {
    attachment.error = error.what();
    attachment.may_pass = true;
  }
}

void Attachments::attach_internal(const DesiredInterface& interface, Attachment& attachment) {
  try {
    attachment.device =
        open_tap_port({.name = interface.name, .senders = senders_, .mac = interface.mac, .mtu = {}});
  } catch (const std::system_error& error) {
    attachment.error = error.what();
    attachment.may_pass = true;
    return;
  }
  links_.sync();
  const Link* link = links_.find(interface.name);
  if (link == nullptr) {
    attachment.device = nullptr;
    attachment.error = renamed(interface.name);
    attachment.may_pass = true;
    return;
  }
  attachment.ifindex = link->ifindex;
  attachment.generation = link->generation;
}

/// Settings of the device itself. What the kernel refuses is a warning: frames pass all the same.
void Attachments::configure(const DesiredInterface& interface, Attachment& attachment) {
  const Link* link = links_.find(interface.name);
  if (link == nullptr) return;
  std::optional<std::string> trouble;
  if (interface.mtu_request && link->mtu != *interface.mtu_request)
    trouble = links_.set_mtu(interface.name, *interface.mtu_request);
  if (interface.type == InterfaceType::internal && interface.mac && link->mac != *interface.mac) {
    trouble = links_.set_mac(interface.name, *interface.mac);
  }
  if (trouble && *trouble != attachment.not_configured) log::warn(kLog, "{}: {}", interface.name, *trouble);
  attachment.not_configured = trouble.value_or("");
}

/// The host has its device back at once; frames that workers still take in this moment do no harm.
void Attachments::retire(Attachment& attachment) {
  if (attachment.device == nullptr) return;
  attachment.earlier_overruns += attachment.device->receive_overruns();
  if (attachment.type == InterfaceType::system) give_back(attachment.ifindex);
  retired_.push_back({std::move(attachment.device), attachment.type});
  attachment.device = nullptr;
  attachment.endpoint = nullptr;
  attachment.ifindex = 0;
  attachment.generation = 0;
}

void Attachments::give_back(int ifindex) {
  if (const auto trouble = isolation_.release(ifindex)) log::warn(kLog, "{}", *trouble);
}

/// Closing a packet socket waits until all processors have let go of it (12 ms each, measured): that is done
/// beside the control thread, for several ports at once. A tap is closed here and now: its name shall be
/// free.
void Attachments::close_retired() {
  std::erase_if(closing_, [](const std::future<void>& one) {
    return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  });
  std::vector<std::future<void>> taps;  // waited for at the end of this function
  for (Retired& retired : std::exchange(retired_, {})) {
    auto closed =
        std::async(std::launch::async, [device = std::move(retired.device)]() mutable { device.reset(); });
    (retired.type == InterfaceType::system ? closing_ : taps).push_back(std::move(closed));
  }
}

void Attachments::look_after() {
  for (const auto& [name, attachment] : by_name_) {
    if (attachment.device != nullptr) attachment.device->receive_overruns();
  }
}

const Attachment* Attachments::find(const std::string& interface) const {
  const auto found = by_name_.find(interface);
  return found == by_name_.end() ? nullptr : &found->second;
}

bool Attachments::wants_retry() const {
  return std::any_of(by_name_.begin(), by_name_.end(), [](const auto& item) { return item.second.may_pass; });
}

}  // namespace vswitch
