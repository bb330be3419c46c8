// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/internal_devices.h"

#include <cstddef>
#include <future>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "datapath/base/background.h"
#include "datapath/port/tap_port.h"
#include "switchd/base/log.h"

namespace vswitch::bridge {

namespace {

const log::Module kInternalLog{"port"};

constexpr std::size_t kLongestAlias = 250;  // IFALIASZ is 256
constexpr std::string_view kMarkBegins = "vswitch port=";
constexpr std::string_view kRundirBegins = " rundir=";

/// The port of a mark; empty if the alias is none.
std::string port_of_mark(std::string_view alias) {
  const std::size_t rundir = alias.find(kRundirBegins);
  if (!alias.starts_with(kMarkBegins) || rundir == alias.npos) return "";
  return std::string(alias.substr(kMarkBegins.size(), rundir - kMarkBegins.size()));
}

using Removal = std::optional<std::string> (*)(const netlink::Link&);  // returns a sentence if it fails

/// At the same time: each takes 20 ms.
std::vector<std::optional<std::string>> remove_all(const std::vector<netlink::Link>& links, Removal remove) {
  std::vector<std::future<std::optional<std::string>>> removals;
  removals.reserve(links.size());
  for (const netlink::Link& link : links)
    removals.push_back(in_background([link, remove] { return remove(link); }));
  std::vector<std::optional<std::string>> troubles;
  troubles.reserve(links.size());
  for (std::size_t i = 0; i < links.size(); ++i)
    troubles.push_back(removals[i].valid() ? removals[i].get() : remove(links[i]));
  return troubles;
}

}  // namespace

std::string device_mark(const std::string& port, const std::string& rundir) {
  std::string mark = std::string(kMarkBegins) + port + std::string(kRundirBegins) + rundir;
  return mark.substr(0, kLongestAlias);
}

std::string InternalDevices::name_of_device(const std::string& interface) const {
  const std::string mark = device_mark(interface, rundir_);
  const netlink::Link* named = links_.find(interface);
  if (named != nullptr && named->alias == mark) return interface;
  for (const auto& [name, link] : links_.links()) {
    if (link.alias == mark && link.kind == "tun") return name;
  }
  return interface;
}

Open InternalDevices::open(const DesiredInterface& interface) {
  const std::string mark = device_mark(interface.name, rundir_);
  const std::string name = name_of_device(interface.name);
  std::shared_ptr<TapPort> tap =
      open_tap_port({.name = name, .mac = interface.mac ? interface.mac : interface.default_mac});
  Open open{.device = tap, .tap = tap.get(), .is_new = tap->is_new()};
  if (!locate(interface.name, open))
    throw std::runtime_error("the device " + name + " was removed while it was opened");
  const netlink::Link* link = this->link(open);
  open.made = open.is_new || (link != nullptr && !port_of_mark(link->alias).empty());
  if (!open.made || open.elsewhere || link == nullptr) return open;
  if (link->alias != mark) {
    if (const auto trouble = links_.set_alias(link->name, mark)) log::warn(kInternalLog, "{}", *trouble);
  }
  tap->set_persistent(true);
  return open;
}

bool InternalDevices::locate(const std::string& interface, Open& open) {
  if (const netlink::Link* link = links_.find(open.ifindex);
      link != nullptr && link->generation == open.generation)
    return true;
  const std::optional<TapPlace> place = open.tap->place();
  if (!place) return false;
  if (place->netns) {
    if (!open.elsewhere)
      log::info(kInternalLog, "{}: its device is in another network namespace now", interface);
    if (open.made) open.tap->set_persistent(false);
    open.tap->set_ifindex(0);
    open.elsewhere = elsewhere_.find(place->netns.get(), place->name);
    if (!open.elsewhere) {  // not to be seen: as if it were up, because the tap itself knows better
      open.elsewhere.emplace();
      open.elsewhere->name = place->name;
      open.elsewhere->up = open.elsewhere->carrier = true;
    }
    return true;
  }
  links_.sync();
  const netlink::Link* link = links_.find(place->name);
  if (link == nullptr) return true;  // renamed at this moment: the notification starts another walk
  if (std::exchange(open.elsewhere, std::nullopt)) {
    log::info(kInternalLog, "{}: its device is back", interface);
    if (open.made) open.tap->set_persistent(true);
  }
  open.ifindex = link->ifindex;
  open.tap->set_ifindex(link->ifindex);
  open.generation = link->generation;
  return true;
}

const netlink::Link* InternalDevices::link(const Open& open) const {
  return open.elsewhere ? &*open.elsewhere : links_.find(open.ifindex);
}

void InternalDevices::give_up(Open& open) {
  if (!open.made) return open.tap->detach();
  open.tap->set_persistent(false);  // in another namespace it goes when the tap is closed
  const netlink::Link* here = links_.find(open.ifindex);
  if (here != nullptr && here->generation == open.generation) given_up_.push_back(*here);
}

void InternalDevices::remove_given_up() {
  if (given_up_.empty()) return;
  for (const auto& trouble : remove_all(std::exchange(given_up_, {}), netlink::remove_link)) {
    if (trouble) log::warn(kInternalLog, "{}", *trouble);
  }
  links_.sync();
}

std::vector<std::string> InternalDevices::remove_leftovers(const std::set<std::string>& wanted) {
  std::vector<netlink::Link> leftovers;
  for (const auto& [name, link] : links_.links()) {
    const std::string port = port_of_mark(link.alias);
    if (!port.empty() && link.kind == "tun" && link.alias == device_mark(port, rundir_) &&
        !wanted.contains(port))
      leftovers.push_back(link);
  }
  // Not remove_link(): it would take a device that another daemon has open.
  const auto troubles =
      remove_all(leftovers, [](const netlink::Link& link) { return remove_tap(link.name); });
  std::vector<std::string> lines;
  lines.reserve(leftovers.size());
  for (std::size_t i = 0; i < leftovers.size(); ++i)
    lines.push_back("device " + leftovers[i].name +
                    (troubles[i] ? " stays, but its port is gone: " + *troubles[i]
                                 : " removed: it belonged to an internal port"));
  if (!leftovers.empty()) links_.sync();
  return lines;
}

}  // namespace vswitch::bridge
