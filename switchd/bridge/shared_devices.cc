// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/shared_devices.h"

#include <algorithm>
#include <vector>

#include "switchd/base/log.h"

namespace vswitch::bridge {
namespace {

const log::Module kSharedLog{"port"};

constexpr std::size_t kAtOnce = 32;  // 3 ms

}  // namespace

bool SharedDevices::look(const Desired& desired, const Attachments& attachments, bool all_in_turn) {
  std::map<std::string, Device> now;
  std::vector<std::string> unknown, others;
  std::vector<int> ifindexes;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) {
      const Attachment* attachment = attachments.find(interface.name);
      if (interface.type != InterfaceType::system || attachment == nullptr || attachment->open() == nullptr)
        continue;
      const int ifindex = attachment->open()->ifindex;
      ifindexes.push_back(ifindex);
      const auto known = devices_.find(interface.name);
      const bool is_new = known == devices_.end() || known->second.ifindex != ifindex;
      now[interface.name] = is_new ? Device{.ifindex = 0, .users = {}} : known->second;
      (is_new ? unknown : others).push_back(interface.name);
      if (is_new) now[interface.name].ifindex = -ifindex;  // not looked at yet
    }
  }
  const bool was_more = devices_.size() > now.size();
  devices_ = std::move(now);
  if (all_in_turn) {
    std::sort(others.begin(), others.end());
    std::rotate(others.begin(), std::upper_bound(others.begin(), others.end(), last_), others.end());
    unknown.insert(unknown.end(), others.begin(), others.end());
  }
  if (unknown.empty()) return was_more;
  unknown.resize(std::min(unknown.size(), kAtOnce));
  users_.begin(ifindexes);
  bool changed = false;
  for (const std::string& port : unknown) {
    Device& device = devices_[port];
    device.ifindex = std::abs(device.ifindex);
    std::string users = users_.look(device.ifindex);
    if (users == device.users) continue;
    changed = true;
    users.empty() ? log::info(kSharedLog, "{}: nobody else uses the device any more", port)
                  : log::warn(kSharedLog, "{}: {}", port, users);
    device.users = std::move(users);
  }
  last_ = unknown.back();
  return changed;
}

std::string SharedDevices::of(const std::string& port) const {
  const auto found = devices_.find(port);
  return found == devices_.end() ? "" : found->second.users;
}

}  // namespace vswitch::bridge
