// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/attachments.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <system_error>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/tunnel/tunnel_port.h"
#include "switchd/base/log.h"

namespace vswitch::bridge {

namespace {

const log::Module kPortLog{"port"};

constexpr std::size_t kLooksTogether = 16;   // at the isolation of devices: 31 us each, measured
constexpr std::uint32_t kDefaultMtu = 1500;  // of the local port of a bridge without other ports

/// Chosen so that they are whole blocks of 32 KiB.
std::size_t slots_of(std::size_t ring_kib) {
  return ring_kib / 32 * 32 * 1024 / AfPacketOptions{}.slot_size;
}

std::string no_device(const std::string& name) {
  return "could not open network device " + name +
         " (No such device)";  // the message of Open vSwitch, which scripts match
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
  std::set<std::string> wanted_internal;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) {
      wanted.insert(interface.name);
      if (interface.type == InterfaceType::internal) wanted_internal.insert(interface.name);
    }
  }
  for (auto it = by_name_.begin(); it != by_name_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    if (it->second.is(AttachmentState::opening)) finish_opening(it->second);
    if (it->second.type == InterfaceType::internal && it->second.open() == nullptr) has_cleaned_ = false;
    retire(it->second);
    it = by_name_.erase(it);
  }
  internal_devices_.remove_given_up();
  if (!std::exchange(has_cleaned_, true)) {
    for (const std::string& line : internal_devices_.remove_leftovers(wanted_internal))
      log::info(kPortLog, "{}", line);
  }
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) reconcile_interface(interface);
  }
  if (is_complete_) {
    ++round_;
    for (const DesiredBridge& bridge : desired.bridges) set_followed_mtus(bridge);
  }
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
  if (is_obsolete(interface, attachment)) {
    const bool gone = has_device(interface.type) && link(interface.name) == nullptr;
    log::info(kPortLog, "{}: device {}", interface.name, gone ? "is gone" : "is closed");
    const bool stays = attachment.type == interface.type && !interface.refusal.empty();  // its row is there
    retire(attachment, stays);
    internal_devices_.remove_given_up();
  }
  const bool tries = attachment.open() == nullptr && !is_tried(interface, attachment);
  attachment.type = interface.type;
  if (tries && has_device(interface.type) && !may_open()) {
    is_complete_ = false;
    return;
  }
  if (tries) try_to_open(interface, attachment);
  if (attachment.open() == nullptr || !has_device(interface.type)) return;
  configure(interface, attachment);
  choose_path(interface, attachment);
  if (const netlink::Link* now = link(interface.name)) attachment.open()->resets = now->link_resets;
}

/// There is a device, but it is not the interface's any more.
bool Attachments::is_obsolete(const DesiredInterface& interface, Attachment& attachment) {
  Open* open = attachment.open();
  if (open == nullptr) return false;
  if (attachment.type != interface.type || !interface.refusal.empty()) return true;
  if (interface.type == InterfaceType::tunnel)
    return open->endpoint != endpoint_of(endpoints_, interface) || open->not_to != interface.not_to;
  if (interface.type == InterfaceType::internal) return !internal_devices_.locate(interface.name, *open);
  const netlink::Link* link = links_.find(interface.name);
  return link == nullptr || link->generation != open->generation;
}

/// A thread has tried to open it with the settings of this round, and failed.
bool Attachments::is_tried(const DesiredInterface& interface, const Attachment& attachment) const {
  return attachment.failed() != nullptr && attachment.failed()->round == round_ &&
         attachment.type == interface.type;
}

void Attachments::try_to_open(const DesiredInterface& interface, Attachment& attachment) {
  const std::string earlier = attachment.error();
  if (!attachment.is(AttachmentState::waiting)) attachment.become(Waiting{});
  if (!interface.refusal.empty()) {
    attachment.become(Refused{interface.refusal});
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
  else if (const Open* open = attachment.open())
    log::info(kPortLog, "{}: {}, ifindex {}", interface.name,
              open->tap != nullptr && !open->is_new ? "taken over" : "attached", open->ifindex);
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

/// A device that is not isolated has no program that carries out what the filter decides.
int Attachments::filter_of(const Attachment& attachment) const {
  return attachment.not_isolated.empty() ? filter_ : -1;
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
                                .filter = filter_of(attachment),
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
  try {
    attachment.become(internal_devices_.open(interface));
    ++opened_;
  } catch (const std::runtime_error& error) {
    attachment.become(Failed{.error = error.what()});
  }
}

/// Settings of the device itself. A refusal by the kernel is a warning: frames pass all the same.
void Attachments::configure(const DesiredInterface& interface, Attachment& attachment) {
  Open& open = *attachment.open();
  const netlink::Link* link = this->link(interface.name);
  if (link == nullptr) return;
  std::optional<std::string> trouble;
  const bool wants_mtu = interface.mtu_request && link->mtu != *interface.mtu_request;
  const std::optional<MacAddr> mac = mac_to_set(interface, open);
  const bool wants_mac = mac && link->mac != *mac;
  if (open.elsewhere) {
    if (wants_mtu || wants_mac)
      trouble = "the MTU and the address of " + interface.name +
                " can only be set in the network namespace where it is";
  } else {
    if (wants_mtu) trouble = links_.set_mtu(link->name, *interface.mtu_request);
    if (wants_mac) trouble = links_.set_mac(link->name, *mac);
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

/// The address is the host's to change, unless the row has one.
std::optional<MacAddr> Attachments::mac_to_set(const DesiredInterface& interface, Open& open) {
  if (interface.type != InterfaceType::internal) return std::nullopt;
  const std::optional<MacAddr> before = std::exchange(open.requested_mac, interface.mac);
  if (interface.mac || !before) return interface.mac;
  return interface.default_mac;
}

/// As in Open vSwitch: internal ports get the smallest MTU of the others when that changes, and never have a larger
/// one; in between, the host may choose a smaller one. Without other ports it is its choice.
void Attachments::set_followed_mtus(const DesiredBridge& bridge) {
  const std::optional<std::uint32_t> smallest = smallest_mtu(bridge);
  for (const DesiredInterface& interface : bridge.interfaces) {
    Open* open = by_name_[interface.name].open();
    const netlink::Link* link = this->link(interface.name);
    if (open == nullptr || link == nullptr || open->tap == nullptr || open->elsewhere) continue;
    const std::optional<std::uint32_t> before =
        std::exchange(open->followed_mtu, interface.follows_mtu ? smallest.value_or(0) : 0);
    const bool has_followed = before.value_or(0) != 0;
    if (!interface.follows_mtu || (!smallest && !has_followed)) continue;
    const std::uint32_t mtu = smallest.value_or(kDefaultMtu);
    const bool has_changed = before ? *before != mtu : open->is_new;
    if (link->mtu == mtu || (link->mtu < mtu && !has_changed)) continue;
    if (const auto trouble = links_.set_mtu(link->name, mtu))
      log::warn(kPortLog, "{}: {}", interface.name, *trouble);
  }
}

std::optional<std::uint32_t> Attachments::smallest_mtu(const DesiredBridge& bridge) const {
  std::optional<std::uint32_t> smallest;
  for (const DesiredInterface& interface : bridge.interfaces) {
    const Attachment* attachment = find(interface.name);
    const netlink::Link* link = this->link(interface.name);
    if (link == nullptr || interface.follows_mtu || attachment == nullptr || attachment->open() == nullptr)
      continue;
    smallest = std::min(smallest.value_or(link->mtu), link->mtu);
  }
  return smallest;
}

/// The host gets its device back at once; frames that workers still receive at this moment do no harm.
void Attachments::retire(Attachment& attachment, bool device_stays) {
  Open* open = attachment.open();
  if (open == nullptr) return;
  attachment.earlier_overruns += open->device->receive_overruns();
  attachment.earlier_resets += open->resets;
  if (attachment.type == InterfaceType::system) give_back(open->ifindex);
  if (open->tap != nullptr && !device_stays) internal_devices_.give_up(*open);
  retired_.push_back(std::move(open->device));
  attachment.become(Waiting{});
}

void Attachments::give_back(int ifindex) {
  if (const auto trouble = isolation_.release(ifindex)) log::warn(kPortLog, "{}", *trouble);
}

/// Closing a packet socket or a tap waits until all processors have released it (12 ms each, measured): helper
/// threads do that, for several ports at once.
void Attachments::close_retired() {
  std::erase_if(closing_, [](const std::future<void>& one) { return !one.valid() || is_ready(one); });
  for (std::shared_ptr<Port>& retired : std::exchange(retired_, {}))
    closing_.push_back(in_background([device = std::move(retired)]() mutable { device.reset(); }));
}

void Attachments::release_all(bool removes_internal) {
  for (auto& [name, attachment] : by_name_) {
    if (attachment.is(AttachmentState::opening)) finish_opening(attachment);
    Open* open = attachment.open();
    if (open == nullptr) continue;
    if (attachment.type == InterfaceType::system) give_back(open->ifindex);
    if (open->tap != nullptr && removes_internal) internal_devices_.give_up(*open);
    retired_.push_back(std::move(open->device));
  }
  internal_devices_.remove_given_up();
  by_name_.clear();
  closing_.push_back(in_background([rings = std::move(rings_)]() mutable { rings.reset(); }));
}

void Attachments::poll() {
  for (const auto& [name, attachment] : by_name_) {
    if (attachment.open() != nullptr) attachment.open()->device->receive_overruns();
  }
}

bool Attachments::look_at_isolation(const std::string& interface, Attachment& attachment) {
  const Open* open = attachment.open();
  if (open == nullptr || attachment.type != InterfaceType::system) return false;
  const netlink::Isolation isolation = isolation_.look(open->ifindex);
  const std::string trouble = isolation.trouble.value_or("");
  if (isolation.was_lost)
    log::warn(kPortLog, "{}: somebody removed what keeps the host's own stack away from the device; {}",
              interface, trouble.empty() ? "it is back" : trouble);
  else if (!trouble.empty() && trouble != attachment.not_isolated)
    log::warn(kPortLog, "{}: {}", interface, trouble);
  return std::exchange(attachment.not_isolated, trouble) != trouble;
}

bool Attachments::look_at_isolation(const std::set<int>& ifindexes) {
  bool has_changed = false;
  for (auto& [name, attachment] : by_name_) {
    const Open* open = attachment.open();
    if (open != nullptr && (ifindexes.empty() || ifindexes.contains(open->ifindex)))
      has_changed |= look_at_isolation(name, attachment);
  }
  return has_changed;
}

bool Attachments::look_at_some_isolation() {
  bool has_changed = false;
  auto next = by_name_.upper_bound(looked_at_);
  for (std::size_t i = 0; i < std::min(kLooksTogether, by_name_.size()); ++i, ++next) {
    if (next == by_name_.end()) next = by_name_.begin();
    has_changed |= look_at_isolation(next->first, next->second);
    looked_at_ = next->first;
  }
  return has_changed;
}

bool Attachments::look_elsewhere() {
  bool has_changed = false;
  for (auto& [name, attachment] : by_name_) {
    Open* open = attachment.open();
    if (open == nullptr || !open->elsewhere) continue;
    const auto before = open->elsewhere;
    has_changed |= !internal_devices_.locate(name, *open) || open->elsewhere != before;
  }
  return has_changed;
}

const netlink::Link* Attachments::link(const std::string& interface) const {
  const Attachment* attachment = find(interface);
  const Open* open = attachment == nullptr ? nullptr : attachment->open();
  if (open != nullptr && open->tap != nullptr) return internal_devices_.link(*open);
  return attachment == nullptr || has_device(attachment->type) ? links_.find(interface) : nullptr;
}

const Attachment* Attachments::find(const std::string& interface) const {
  const auto found = by_name_.find(interface);
  return found == by_name_.end() ? nullptr : &found->second;
}

bool Attachments::has_renamed(const std::string& device) const {
  const netlink::Link* link = links_.find(device);
  return link != nullptr && std::any_of(by_name_.begin(), by_name_.end(), [link](const auto& item) {
           const Open* open = item.second.open();
           return open != nullptr && open->tap != nullptr && !open->elsewhere &&
                  open->ifindex == link->ifindex;
         });
}

bool Attachments::wants_retry() const {
  return std::any_of(by_name_.begin(), by_name_.end(),
                     [](const auto& item) { return item.second.is(AttachmentState::failed); });
}

}  // namespace vswitch::bridge
