// SPDX-License-Identifier: Apache-2.0
// Frames for tests, written the way one would describe them, and printed in words if they differ.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/frame/frame.h"
#include "datapath/port/memory_port.h"

namespace vswitch::test {

/// frame().src("02:00:00:00:00:01").dst(kBroadcast).vlan(10, 5).text("hello") converts to a MemoryFrame.
class FrameBuilder {
 public:
  FrameBuilder& dst(const std::string& mac);
  FrameBuilder& src(const std::string& mac);
  /// Adds a tag inside the existing ones.
  FrameBuilder& vlan(VlanId vid, std::uint8_t pcp = 0, std::uint16_t tpid = kTpid8021Q);
  FrameBuilder& dei();  ///< sets DEI in the innermost tag
  FrameBuilder& ether_type(std::uint16_t type);
  FrameBuilder& text(const std::string& bytes);
  FrameBuilder& zeros(std::size_t count);
  FrameBuilder& offload(Offload offload);  ///< checksum_start counts from the first byte of the frame

  std::vector<std::uint8_t> bytes() const;
  MemoryFrame build() const { return {bytes(), offload_}; }
  operator MemoryFrame() const { return build(); }  // NOLINT: that is the point of it

 private:
  MacAddr dst_{{0x02, 0, 0, 0, 0, 0xd0}};
  MacAddr src_{{0x02, 0, 0, 0, 0, 0x50}};
  std::vector<VlanTag> tags_;
  std::uint16_t ether_type_ = 0x88b5;  // IEEE 802 local experimental
  std::vector<std::uint8_t> payload_;
  Offload offload_;
};

inline FrameBuilder frame() {
  return {};
}
inline const std::string kBroadcast = "ff:ff:ff:ff:ff:ff";

/// One line: addresses, tags, EtherType, length and the first payload bytes.
std::string describe(const MemoryFrame& frame);

}  // namespace vswitch::test
