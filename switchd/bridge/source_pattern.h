// SPDX-License-Identifier: Apache-2.0
// Sources by description, the column `source_patterns` of Mirror: they bind to a port when it appears, and
// again when it returns under another name or as another device.
//
//     glob:vnet*               every port whose name matches (glob(7): * ? [a-z])
//     iface-id:ID              the port whose Interface has external_ids:iface-id=ID, as OpenStack and OVN
//     set mac:52:54:00:12:34:56    the port behind which this address lives: external_ids:attached-mac of its
//                              Interface, otherwise the column `mac`, otherwise that of a device the switch
//                              makes. The address of any other device (a veth, a VM's tap) is that of the
//                              switch's end of the wire and says nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "switchd/bridge/desired.h"

namespace vswitch::bridge {

struct SourcePattern {
  enum class Kind : std::uint8_t { glob, iface_id, mac };
  Kind kind = Kind::glob;
  std::string text;  ///< without the kind; a MAC address in lower case

  /// nullopt: none of the three, or what follows the colon is empty or no unicast MAC address.
  static std::optional<SourcePattern> parse(std::string_view text);
};

/// Finds the ports of one bridge. Identifiers are looked up in rows only once somebody asks for one.
class PatternBinder {
 public:
  PatternBinder(const ovsdb::Database& database, const DesiredBridge& bridge)
      : database_(database), bridge_(bridge) {}

  /// Their names, sorted.
  std::vector<std::string> ports(const SourcePattern& pattern);
  /// Whether external_ids of interfaces made a difference.
  bool has_read_ids() const { return has_read_ids_; }

 private:
  using Index = std::unordered_multimap<std::string, std::string>;  ///< identifier -> port

  void read_ids();
  std::vector<std::string> identified(const SourcePattern& pattern);
  std::vector<std::string> matching(const std::string& glob) const;

  const ovsdb::Database& database_;
  const DesiredBridge& bridge_;
  bool has_read_ids_ = false;
  Index by_iface_id_, by_mac_;
};

}  // namespace vswitch::bridge
