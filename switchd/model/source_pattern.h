// SPDX-License-Identifier: Apache-2.0
// Sources by description, in the column `source_patterns` of Mirror. They bind to a port when it appears, and
// again when it returns under another name or as another device.
//
// - `glob:vnet*`: every port whose name matches (glob(7): * ? [a-z]).
// - `iface-id:ID`: the port whose Interface has external_ids:iface-id=ID, as OpenStack and OVN set it.
// - `mac:52:54:00:12:34:56`: the port to which this address is attached: external_ids:attached-mac of its
//   Interface, otherwise the column `mac`, otherwise the address of a device that the switch creates. The
//   address of any other device (a veth, a VM's tap) belongs to the switch's end of the link and is not used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vswitch::model {

struct SourcePattern {
  enum class Kind : std::uint8_t { glob, iface_id, mac };
  Kind kind = Kind::glob;
  std::string text;  ///< without the prefix; a MAC address in lower case

  /// nullopt: none of the three kinds, or the part after the colon is empty or not a unicast MAC address.
  static std::optional<SourcePattern> parse(std::string_view text);
};

}  // namespace vswitch::model
