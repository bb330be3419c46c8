// SPDX-License-Identifier: Apache-2.0
#include "tests/support/frame_builder.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace vswitch::test {

namespace {

MacAddr mac(const std::string& text) {
  const auto parsed = MacAddr::parse(text);
  if (!parsed) throw std::invalid_argument("not an Ethernet address: " + text);
  return *parsed;
}

void put_u16(std::vector<std::uint8_t>& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value & 0xff));
}

std::string hex(std::uint32_t value, int digits) {
  char text[16];
  std::snprintf(text, sizeof text, "%0*x", digits, value);
  return text;
}

}  // namespace

FrameBuilder& FrameBuilder::dst(const std::string& text) {
  return dst_ = mac(text), *this;
}
FrameBuilder& FrameBuilder::src(const std::string& text) {
  return src_ = mac(text), *this;
}

FrameBuilder& FrameBuilder::vlan(VlanId vid, std::uint8_t pcp, std::uint16_t tpid) {
  tags_.push_back({tpid, static_cast<std::uint16_t>(pcp << 13 | vid)});
  return *this;
}

FrameBuilder& FrameBuilder::dei() {
  tags_.back().tci |= 0x1000;
  return *this;
}

FrameBuilder& FrameBuilder::ether_type(std::uint16_t type) {
  return ether_type_ = type, *this;
}

FrameBuilder& FrameBuilder::text(const std::string& bytes) {
  payload_.insert(payload_.end(), bytes.begin(), bytes.end());
  return *this;
}

FrameBuilder& FrameBuilder::zeros(std::size_t count) {
  payload_.insert(payload_.end(), count, 0);
  return *this;
}

FrameBuilder& FrameBuilder::offload(Offload offload) {
  return offload_ = offload, *this;
}

std::vector<std::uint8_t> FrameBuilder::bytes() const {
  std::vector<std::uint8_t> out(dst_.octets.begin(), dst_.octets.end());
  out.insert(out.end(), src_.octets.begin(), src_.octets.end());
  for (const VlanTag& tag : tags_) {
    put_u16(out, tag.tpid);
    put_u16(out, tag.tci);
  }
  put_u16(out, ether_type_);
  out.insert(out.end(), payload_.begin(), payload_.end());
  return out;
}

std::string describe(const MemoryFrame& memory) {
  const auto& bytes = memory.bytes;
  if (bytes.size() < kMinFrameLength) return "runt of " + std::to_string(bytes.size()) + " bytes";
  const auto u16 = [&bytes](std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  };
  MacAddr dst;
  MacAddr src;
  std::copy_n(bytes.begin(), 6, dst.octets.begin());
  std::copy_n(bytes.begin() + 6, 6, src.octets.begin());
  std::string line = src.to_string() + " > " + dst.to_string();
  std::size_t at = kAddressesLength;
  for (; at + 6 <= bytes.size() && is_vlan_tpid(u16(at)); at += kTagLength) {
    const VlanTag tag{u16(at), u16(at + 2)};
    line += " [" + hex(tag.tpid, 4) + " vid " + std::to_string(tag.vid()) + " pcp " +
            std::to_string(tag.pcp()) + (tag.dei() ? " dei]" : "]");
  }
  line += " type " + hex(u16(at), 4) + ", " + std::to_string(bytes.size()) + " bytes:";
  for (std::size_t i = at + 2; i < bytes.size() && i < at + 34; ++i)
    line += (i % 2 == at % 2 ? " " : "") + hex(bytes[i], 2);
  const Offload& offload = memory.offload;
  if (offload.needs_checksum) {
    line += " (checksum from " + std::to_string(offload.checksum_start) + " at +" +
            std::to_string(offload.checksum_offset) + ")";
  }
  if (offload.is_gso()) {
    line += " (segments of " + std::to_string(offload.gso_size) + ", type " +
            std::to_string(offload.gso_type) + ")";
  }
  return line;
}

}  // namespace vswitch::test
