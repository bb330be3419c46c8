// SPDX-License-Identifier: Apache-2.0
#include "ctl/pcapng.h"

#include <algorithm>
#include <cstddef>

namespace vswitch::ctl::pcapng {
namespace {

// Section 4 of the draft: block types, and codes of their options.
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kInterfaceStatistics = 5;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kEndOfOptions = 0, kComment = 1;
constexpr std::uint16_t kShbUserApplication = 4;
constexpr std::uint16_t kIfName = 2, kIfTimeResolution = 9;
constexpr std::uint16_t kEpbFlags = 2;
constexpr std::uint16_t kIsbStart = 2, kIsbEnd = 3, kIsbReceived = 4, kIsbDropped = 5;
constexpr std::uint16_t kEthernet = 1;      // LINKTYPE_ETHERNET
constexpr std::uint8_t kNanoseconds = 9;    // 10 to the power of -9
constexpr std::size_t kMaxOption = 0xfff0;  // its length has 16 bits

template <typename Number>
void put(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void pad(std::string& out) {
  out.append(-out.size() % 4, '\0');
}

/// A block: its type and length are written around what comes until its end.
class Block {
 public:
  Block(std::string& out, std::uint32_t type) : out_(out), start_(out.size()) {
    put(out_, type);
    put(out_, std::uint32_t{0});
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    const auto length = static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
    out_.replace(start_ + sizeof length, sizeof length, reinterpret_cast<const char*>(&length),
                 sizeof length);
    put(out_, length);
  }

  void option(std::uint16_t code, std::string_view value) {
    value = value.substr(0, kMaxOption);
    put(out_, code);
    put(out_, static_cast<std::uint16_t>(value.size()));
    out_ += value;
    pad(out_);
  }
  template <typename Number>
  void number(std::uint16_t code, Number number) {
    option(code, {reinterpret_cast<const char*>(&number), sizeof number});
  }
  /// Time stamps are two halves, the higher first, in whatever byte order.
  void time(std::uint16_t code, std::uint64_t ns) { number(code, ns << 32 | ns >> 32); }
  void end_options() { put(out_, std::uint32_t{kEndOfOptions}); }

 private:
  std::string& out_;
  const std::size_t start_;  // a multiple of 4: the text consists of blocks
};

void put_time(std::string& out, std::uint64_t ns) {
  put(out, static_cast<std::uint32_t>(ns >> 32));
  put(out, static_cast<std::uint32_t>(ns));
}

}  // namespace

void add_section(std::string& out, std::string_view program) {
  Block block(out, kSectionHeader);
  put(out, kByteOrderMagic);
  put(out, std::uint16_t{1});  // version 1.0
  put(out, std::uint16_t{0});
  put(out, std::int64_t{-1});  // the length of the section is not known
  block.option(kShbUserApplication, program);
  block.end_options();
}

void add_interface(std::string& out, std::string_view name, std::uint32_t snaplen) {
  Block block(out, kInterfaceDescription);
  put(out, kEthernet);
  put(out, std::uint16_t{0});
  put(out, snaplen);
  block.option(kIfName, name);
  block.number(kIfTimeResolution, kNanoseconds);
  block.end_options();
}

void add_packet(std::string& out, const Packet& packet) {
  Block block(out, kEnhancedPacket);
  put(out, packet.interface);
  put_time(out, packet.unix_time_ns);
  put(out, static_cast<std::uint32_t>(packet.bytes.size()));
  put(out, packet.length);
  out.append(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
  pad(out);
  if (!packet.comment.empty()) block.option(kComment, packet.comment);
  block.number(kEpbFlags, std::uint32_t{packet.inbound ? 1U : 2U});
  block.end_options();
}

void add_statistics(std::string& out, const Statistics& statistics) {
  Block block(out, kInterfaceStatistics);
  put(out, statistics.interface);
  put_time(out, statistics.end_ns);
  if (!statistics.comment.empty()) block.option(kComment, statistics.comment);
  block.time(kIsbStart, statistics.start_ns);
  block.time(kIsbEnd, statistics.end_ns);
  block.number(kIsbReceived, statistics.received);
  if (statistics.dropped) block.number(kIsbDropped, *statistics.dropped);
  block.end_options();
}

}  // namespace vswitch::ctl::pcapng
