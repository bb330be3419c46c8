// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/attachments.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <system_error>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/tap_port.h"
#include "datapath/tunnel/tunnel_port.h"
#include "switchd/base/log.h"

namespace vswitch::bridge {

namespace {

const log::Module kPortLog{"port"};

/// Chosen so that they are whole blocks of 32 KiB.
std::size_t slots_of(std::size_t ring_kib) {
  return ring_kib / 32 * 32 * 1024 / AfPacketOptions{}.slot_size;
}

std::string no_device(const std::string& name) {
  return "could not open network device " + name +
         " (No such device)";  // the message of Open vSwitch, which scripts match
}

std::string renamed(const std::string& name) {
  return "another program, such as a udev rule, renames the device " + name + " that the switch creates";
}

std::shared_ptr<tunnel::TunnelEndpoint> endpoint_of(const Endpoints& endpoints,
                                                    const DesiredInterface& interface) {
  const Endpoints::Entry* entry = endpoints.find(interface.row);
  return entry == nullptr ? nullptr : entry->endpoint;
}

}  // namespace

bool Attachments::reconcile(const Desired& desired) {
  opened_ = 0;
  is_complete_ = true;
  std::set<std::string> wanted;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) wanted.insert(interface.name);
  }
  for (auto it = by_name_.begin(); it != by_name_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    if (it->second.is(AttachmentState::opening)) finish_opening(it->second);
    retire(it->second);
    it = by_name_.erase(it);
  }
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) reconcile_interface(interface);
  }
  if (is_complete_) ++round_;
  if (!is_complete_ && opening_ == 0) go_on_();  // otherwise the last thread does
  return is_complete_;
}

void Attachments::reconcile_interface(const DesiredInterface& interface) {
  Attachment& attachment = by_name_[interface.name];
  if (const Opening* opening = attachment.opening()) {
    if (threads_->load() != 0) {
      is_complete_ = false;
      return;
    }
    const std::string earlier = opening->earlier_error;
    finish_opening(attachment);
    log_change(interface, attachment, earlier);
  }
  const bool was_renamed = is_renamed(interface, attachment);
  if (is_obsolete(interface, attachment)) {
    const bool gone = has_device(interface.type) && links_.find(interface.name) == nullptr;
    log::info(kPortLog, "{}: device {}", interface.name, gone ? "is gone" : "is closed");
    retire(attachment);
  }
  const bool tries = attachment.open() == nullptr && !is_tried(interface, attachment);
  attachment.type = interface.type;
  if (tries && has_device(interface.type) && !may_open()) {
    is_complete_ = false;
    return;
  }
  if (tries) try_to_open(interface, attachment, was_renamed);
  if (attachment.open() == nullptr || !has_device(interface.type)) return;
  configure(interface, attachment);
  choose_path(interface, attachment);
  if (const netlink::Link* now = links_.find(interface.name)) attachment.open()->resets = now->link_resets;
}

/// There is a device, but it is not the interface's any more.
bool Attachments::is_obsolete(const DesiredInterface& interface, const Attachment& attachment) const {
  const Open* open = attachment.open();
  if (open == nullptr) return false;
  if (attachment.type != interface.type || !interface.refusal.empty()) return true;
  if (interface.type == InterfaceType::tunnel)
    return open->endpoint != endpoint_of(endpoints_, interface) || open->not_to != interface.not_to;
  const netlink::Link* link = links_.find(interface.name);
  return link == nullptr || link->generation != open->generation;
}

/// The device that the switch created exists under another name.
bool Attachments::is_renamed(const DesiredInterface& interface, const Attachment& attachment) const {
  return attachment.open() != nullptr && attachment.type == InterfaceType::internal &&
         interface.type == InterfaceType::internal && links_.find(interface.name) == nullptr &&
         links_.find(attachment.open()->ifindex) != nullptr;
}

/// A thread has tried to open it with the settings of this round, and failed.
bool Attachments::is_tried(const DesiredInterface& interface, const Attachment& attachment) const {
  return attachment.failed() != nullptr && attachment.failed()->round == round_ &&
         attachment.type == interface.type;
}

void Attachments::try_to_open(const DesiredInterface& interface, Attachment& attachment, bool was_renamed) {
  const std::string earlier = attachment.error();
  if (!attachment.is(AttachmentState::waiting)) attachment.become(Waiting{});
  if (!interface.refusal.empty()) {
    attachment.become(Refused{interface.refusal});
  } else if (was_renamed) {
    attachment.become(Failed{.error = renamed(interface.name)});  // and it would be renamed again, at once
  } else if (interface.type == InterfaceType::system) {
    try_system(interface, attachment, earlier);
  } else if (interface.type == InterfaceType::internal) {
    try_internal(interface, attachment);
  } else if (interface.type == InterfaceType::tunnel) {
    try_tunnel(interface, attachment);
  } else {
    attachment.become(Linked{});
  }
  if (!attachment.is(AttachmentState::opening)) log_change(interface, attachment, earlier);
}

void Attachments::log_change(const DesiredInterface& interface, const Attachment& attachment,
                             const std::string& earlier) const {
  if (!attachment.error().empty() && attachment.error() != earlier)
    log::warn(kPortLog, "{}: {}", interface.name, attachment.error());
  if (attachment.open() != nullptr && interface.tunnel)
    log::info(kPortLog, "{}: attached, tunnel to {}", interface.name, interface.tunnel->label);
  else if (attachment.open() != nullptr)
    log::info(kPortLog, "{}: attached, ifindex {}", interface.name, attachment.open()->ifindex);
}

void Attachments::try_system(const DesiredInterface& interface, Attachment& attachment,
                             const std::string& earlier) {
  const netlink::Link* link = links_.find(interface.name);
  if (link == nullptr) return attachment.become(Refused{no_device(interface.name)});
  if (!link->ethernet)
    return attachment.become(Refused{interface.name + " is not an Ethernet device and cannot be a port"});
  const std::string trouble = isolation_.isolate(link->ifindex).value_or("");
  if (!trouble.empty() && trouble != attachment.not_isolated)
    log::warn(kPortLog, "{}: {}", interface.name, trouble);
  attachment.not_isolated = trouble;
  is_complete_ = false;
  begin_opening(*link, attachment, earlier);
}

/// On a helper thread: the kernel waits for a grace period on all processors, and several ports can wait at
/// the same time. See RingStock.
void Attachments::begin_opening(const netlink::Link& link, Attachment& attachment,
                                const std::string& earlier) {
  const AfPacketOptions options{.name = link.name,
                                .ifindex = link.ifindex,
                                .senders = senders_,
                                .stock = rings_.get(),
                                .mirror_senders = mirror_senders_,
                                .xdp_transmit = settings_.xdp_transmit,
                                .xdp_copies = settings_.xdp_copies,
                                .slots = slots_of(settings_.receive_ring_kib),
                                .queue_bytes = settings_.receive_queue_kib * 1024};
  const auto open = [options, threads = threads_, go_on = go_on_] {
    const RoleScope role(roles::helper);
    const auto log_change = [&] {
      if (threads->fetch_sub(1) == 1) go_on();
    };
    try {
      auto port = open_af_packet_port(options);
      log_change();
      return port;
    } catch (...) {
      log_change();
      throw;
    }
  };
  threads_->fetch_add(1);
  try {
    attachment.become(Opening{.device = std::async(std::launch::async, open),
                              .ifindex = link.ifindex,
                              .generation = link.generation,
                              .earlier_error = earlier});
    ++opening_;
  } catch (const std::exception& error) {  // no thread could be started
    threads_->fetch_sub(1);
    fail(attachment, link.ifindex, error);
  }
}

void Attachments::finish_opening(Attachment& attachment) {
  Opening& opening = *attachment.opening();
  --opening_;
  try {
    attachment.become(
        Open{.device = opening.device.get(), .ifindex = opening.ifindex, .generation = opening.generation});
  } catch (const std::exception& error) {
    fail(attachment, opening.ifindex, error);
  }
}

/// A helper thread could not open it, or could not be started: there is another try in the next round.
void Attachments::fail(Attachment& attachment, int ifindex, const std::exception& error) {
  give_back(ifindex);
  attachment.become(Failed{.error = error.what(), .round = round_});
}

void Attachments::try_tunnel(const DesiredInterface& interface, Attachment& attachment) {
  const Endpoints::Entry* entry = endpoints_.find(interface.row);
  try {
    if (entry->endpoint == nullptr) throw std::runtime_error(entry->error);
    attachment.become(Open{.device = open_tunnel_port(entry->endpoint, senders_, interface.not_to),
                           .endpoint = entry->endpoint,
                           .not_to = interface.not_to});
  } catch (const std::runtime_error& error) {
    attachment.become(Failed{.error = error.what()});
  }
}

void Attachments::try_internal(const DesiredInterface& interface, Attachment& attachment) {
  std::shared_ptr<Port> device;
  try {
    device = open_tap_port({.name = interface.name, .senders = senders_, .mac = interface.mac, .mtu = {}});
  } catch (const std::system_error& error) {
    return attachment.become(Failed{.error = error.what()});
  }
  links_.sync();
  const netlink::Link* link = links_.find(interface.name);
  if (link == nullptr) return attachment.become(Failed{.error = renamed(interface.name)});
  attachment.become(
      Open{.device = std::move(device), .ifindex = link->ifindex, .generation = link->generation});
  ++opened_;
}

/// Settings of the device itself. A refusal by the kernel is a warning: frames pass all the same.
void Attachments::configure(const DesiredInterface& interface, Attachment& attachment) {
  const netlink::Link* link = links_.find(interface.name);
  if (link == nullptr) return;
  std::optional<std::string> trouble;
  if (interface.mtu_request && link->mtu != *interface.mtu_request)
    trouble = links_.set_mtu(interface.name, *interface.mtu_request);
  if (interface.type == InterfaceType::internal && interface.mac && link->mac != *interface.mac) {
    trouble = links_.set_mac(interface.name, *interface.mac);
  }
  if (trouble && *trouble != attachment.not_configured)
    log::warn(kPortLog, "{}: {}", interface.name, *trouble);
  attachment.not_configured = trouble.value_or("");
}

/// The host's own devices (internal ports) pass what is on them in any case.
std::string Attachments::egress_of(const std::string& name, const Attachment& attachment) const {
  const netlink::Link* link = links_.find(name);
  if (link == nullptr || attachment.open() == nullptr || attachment.type != InterfaceType::system) return "";
  return egress_.on(*link);
}

void Attachments::choose_path(const DesiredInterface& interface, Attachment& attachment) {
  const std::string egress = egress_of(interface.name, attachment);
  attachment.open()->device->use_ordinary_path(!egress.empty());
  if (egress == attachment.egress) return;
  attachment.egress = egress;
  if (egress.empty())
    log::info(kPortLog, "{}: frames leave by the fastest path again", interface.name);
  else
    log::info(kPortLog, "{}: frames leave by the kernel's ordinary path: {}", interface.name, egress);
}

bool Attachments::is_egress_outdated() const {
  return std::any_of(by_name_.begin(), by_name_.end(), [this](const auto& item) {
    return item.second.open() != nullptr && egress_of(item.first, item.second) != item.second.egress;
  });
}

/// The host gets its device back at once; frames that workers still receive at this moment do no harm.
void Attachments::retire(Attachment& attachment) {
  Open* open = attachment.open();
  if (open == nullptr) return;
  attachment.earlier_overruns += open->device->receive_overruns();
  attachment.earlier_resets += open->resets;
  if (attachment.type == InterfaceType::system) give_back(open->ifindex);
  retired_.push_back({std::move(open->device), attachment.type});
  attachment.become(Waiting{});
}

void Attachments::give_back(int ifindex) {
  if (const auto trouble = isolation_.release(ifindex)) log::warn(kPortLog, "{}", *trouble);
}

/// Closing a packet socket waits until all processors have released it (12 ms each, measured): helper threads
/// do that, for several ports at once. A tap is closed at once: its name must be free.
void Attachments::close_retired() {
  std::erase_if(closing_, [](const std::future<void>& one) { return !one.valid() || is_ready(one); });
  std::vector<std::future<void>> taps;  // this function waits for them at its end
  for (Retired& retired : std::exchange(retired_, {})) {
    auto closed = in_background([device = std::move(retired.device)]() mutable { device.reset(); });
    (retired.type == InterfaceType::system ? closing_ : taps).push_back(std::move(closed));
  }
}

void Attachments::end_opening() {
  closing_.push_back(in_background([rings = std::move(rings_)]() mutable { rings.reset(); }));
}

void Attachments::poll() {
  for (const auto& [name, attachment] : by_name_) {
    if (attachment.open() != nullptr) attachment.open()->device->receive_overruns();
  }
}

const Attachment* Attachments::find(const std::string& interface) const {
  const auto found = by_name_.find(interface);
  return found == by_name_.end() ? nullptr : &found->second;
}

bool Attachments::wants_retry() const {
  return std::any_of(by_name_.begin(), by_name_.end(),
                     [](const auto& item) { return item.second.is(AttachmentState::failed); });
}

}  // namespace vswitch::bridge
