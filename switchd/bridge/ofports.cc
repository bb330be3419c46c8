// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/ofports.h"

#include <cstddef>
#include <set>

#include "switchd/db/database.h"

namespace vswitch::bridge {

namespace {

class Numbers {
 public:
  explicit Numbers(std::size_t interfaces) : given_(interfaces, kNoOfport) {}

  bool has(std::size_t interface) const { return given_[interface] != kNoOfport; }
  std::int64_t of(std::size_t interface) const { return given_[interface]; }
  void give(std::size_t interface, std::int64_t number) {
    if (!has(interface) && used_.insert(number).second) given_[interface] = number;
  }
  void give_lowest(std::size_t interface) {
    for (; !has(interface) && lowest_ <= kMaxOfport; ++lowest_) give(interface, lowest_);
  }

 private:
  std::vector<std::int64_t> given_;
  std::set<std::int64_t> used_;
  std::int64_t lowest_ = 1;  ///< all below are used
};

OfportRequest request_of(const DesiredInterface& interface, const DesiredBridge& bridge,
                         const Attachment& attachment, const ovsdb::Row& row) {
  const auto present = row.integer("ofport");
  const bool waits_for_its_device =
      interface.refusal.empty() && interface.type == InterfaceType::system && present.value_or(kNoOfport) > 0;
  return {.present = present,
          .requested = interface.ofport_request,
          .is_local = interface.name == bridge.spec.name,
          .is_port = attachment.error().empty() || waits_for_its_device};
}

}  // namespace

std::vector<std::int64_t> pick_ofports(std::span<const OfportRequest> interfaces) {
  Numbers numbers(interfaces.size());
  const auto present = [&interfaces](std::size_t i) {
    const auto& number = interfaces[i].present;
    return number && *number >= 1 && *number <= kMaxOfport ? number : std::nullopt;
  };
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    if (present(i) && interfaces[i].requested.value_or(*present(i)) == *present(i))
      numbers.give(i, *present(i));
  }
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    if (interfaces[i].requested) numbers.give(i, *interfaces[i].requested);
  }
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    if (present(i)) numbers.give(i, *present(i));
  }
  std::vector<std::int64_t> picked;
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    const bool needs_one = interfaces[i].is_port && !interfaces[i].is_local;
    if (needs_one) numbers.give_lowest(i);
    picked.push_back(needs_one ? numbers.of(i) : interfaces[i].is_port ? kLocalOfport : kNoOfport);
  }
  return picked;
}

Ofports pick_ofports(const Desired& desired, const Attachments& attachments,
                     const ovsdb::Database& database) {
  Ofports ofports;
  for (const DesiredBridge& bridge : desired.bridges) {
    std::vector<ovsdb::Uuid> rows;
    std::vector<OfportRequest> requests;
    for (const DesiredInterface& interface : bridge.interfaces) {
      const Attachment* attachment = attachments.find(interface.name);
      const ovsdb::Row* row = database.find("Interface", interface.row);
      if (attachment == nullptr || row == nullptr) continue;
      rows.push_back(interface.row);
      requests.push_back(request_of(interface, bridge, *attachment, *row));
    }
    const std::vector<std::int64_t> picked = pick_ofports(requests);
    for (std::size_t i = 0; i < rows.size(); ++i) ofports[rows[i]] = picked[i];
  }
  return ofports;
}

}  // namespace vswitch::bridge
