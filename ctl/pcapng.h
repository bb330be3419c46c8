// SPDX-License-Identifier: Apache-2.0
// Blocks of the capture format pcapng (draft-ietf-opsawg-pcapng), appended to a text. libpcap reads this format, but
// cannot write it (Debian 12: 1.10.3).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vswitch::ctl::pcapng {

/// Section Header Block: the start of a file, with the program that writes it. In the byte order of this machine.
void add_section(std::string& out, std::string_view program);

/// Interface Description Block: Ethernet, time stamps in nanoseconds. Interfaces count from 0, in this order.
/// `snaplen`: bytes that are kept of a frame; 0 = all.
void add_interface(std::string& out, std::string_view name, std::uint32_t snaplen);

struct Packet {
  std::uint32_t interface = 0;
  std::uint64_t unix_time_ns = 0;
  bool inbound = true;       ///< the interface received it; otherwise it sent it
  std::uint32_t length = 0;  ///< of the frame, of which `bytes` is the beginning
  std::span<const std::byte> bytes;
  std::string_view comment = {};
};
/// Enhanced Packet Block.
void add_packet(std::string& out, const Packet& packet);

struct Statistics {
  std::uint32_t interface = 0;
  std::uint64_t start_ns = 0, end_ns = 0;  ///< of the capture, since 1970
  std::uint64_t received = 0;              ///< frames that came in or went out there and were wanted
  std::optional<std::uint64_t> dropped;    ///< of these, not in the file
  std::string comment;
};
/// Interface Statistics Block.
void add_statistics(std::string& out, const Statistics& statistics);

}  // namespace vswitch::ctl::pcapng
