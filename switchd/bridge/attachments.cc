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

const log::Module kLog{"port"};

/// So many that they are whole blocks of 32 KiB.
std::size_t slots_of(std::size_t ring_kib) {
  return ring_kib / 32 * 32 * 1024 / AfPacketOptions{}.slot_size;
}

std::string no_device(const std::string& name) {
  return "could not open network device " + name +
         " (No such device)";  // the sentence of Open vSwitch, scripts know it
}

std::string renamed(const std::string& name) {
  return "something renames the device " + name + " that the switch makes, such as a rule of udev";
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
    if (it->second.opening.valid()) finish_opening(it->second);
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
  if (attachment.opening.valid()) {
    if (threads_->load() != 0) {
      is_complete_ = false;
      return;
    }
    finish_opening(attachment);
    log_change(interface, attachment, attachment.earlier_error);
  }
  const bool is_tunnel = interface.type == InterfaceType::tunnel;
  const netlink::Link* link = has_device(interface.type) ? links_.find(interface.name) : nullptr;
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
  const bool is_tried = attachment.failed_in == round_ && attachment.type == interface.type;
  attachment.type = interface.type;
  if (attachment.device == nullptr && !is_tried && has_device(interface.type) && !may_open()) {
    is_complete_ = false;
    return;
  }
  if (attachment.device == nullptr && !is_tried) {
    const std::string earlier = std::exchange(attachment.error, interface.refusal);
    attachment.may_pass = attachment.error.empty() && is_renamed;
    if (attachment.may_pass) attachment.error = renamed(interface.name);  // and would be again, at once
    const bool possible = attachment.error.empty();
    if (possible && interface.type == InterfaceType::system && prepare_system(interface, attachment)) {
      attachment.earlier_error = earlier;
      is_complete_ = false;
      return begin_opening(interface.name, attachment);
    }
    if (possible && interface.type == InterfaceType::internal) attach_internal(interface, attachment);
    if (possible && is_tunnel) attach_tunnel(interface, attachment);
    log_change(interface, attachment, earlier);
  }
  if (attachment.device == nullptr || !has_device(interface.type)) return;
  configure(interface, attachment);
  if (const netlink::Link* now = links_.find(interface.name)) attachment.resets = now->link_resets;
}

void Attachments::log_change(const DesiredInterface& interface, const Attachment& attachment,
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
  const netlink::Link* link = links_.find(interface.name);
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

/// By a thread: the kernel lets all processors pass meanwhile, for several ports at once. See RingStock.
void Attachments::begin_opening(const std::string& name, Attachment& attachment) {
  const AfPacketOptions options{.name = name,
                                .ifindex = attachment.ifindex,
                                .senders = senders_,
                                .stock = rings_.get(),
                                .mirror_senders = mirror_senders_,
                                .xdp_transmit = settings_.xdp_transmit,
                                .xdp_copies = settings_.xdp_copies,
                                .slots = slots_of(settings_.receive_ring_kib),
                                .queue_bytes = settings_.receive_queue_kib * 1024};
  const auto open = [options, threads = threads_, go_on = go_on_] {
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
    attachment.opening = std::async(std::launch::async, open);
    ++opening_;
  } catch (const std::exception& error) {  // no thread to be had
    threads_->fetch_sub(1);
    failed(attachment, error);
  }
}

void Attachments::failed(Attachment& attachment, const std::exception& error) {
  give_back(attachment.ifindex);
  attachment.ifindex = 0;
  attachment.generation = 0;
  attachment.error = error.what();
  attachment.may_pass = true;
  attachment.failed_in = round_;
}

void Attachments::finish_opening(Attachment& attachment) {
  --opening_;
  try {
    attachment.device = attachment.opening.get();
  } catch (const std::exception& error) {
    failed(attachment, error);
  }
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
  const netlink::Link* link = links_.find(interface.name);
  if (link == nullptr) {
    attachment.device = nullptr;
    attachment.error = renamed(interface.name);
    attachment.may_pass = true;
    return;
  }
  attachment.ifindex = link->ifindex;
  attachment.generation = link->generation;
  ++opened_;
}

/// Settings of the device itself. What the kernel refuses is a warning: frames pass all the same.
void Attachments::configure(const DesiredInterface& interface, Attachment& attachment) {
  const netlink::Link* link = links_.find(interface.name);
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
  attachment.earlier_resets += std::exchange(attachment.resets, 0);
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
  std::erase_if(closing_, [](const std::future<void>& one) { return !one.valid() || is_ready(one); });
  std::vector<std::future<void>> taps;  // waited for at the end of this function
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

}  // namespace vswitch::bridge
