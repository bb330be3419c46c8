// SPDX-License-Identifier: Apache-2.0
// Reader of the classic pcap format.
#include "ctl/capture_file.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>

#include "ctl/command.h"

namespace vswitch::ctl {
namespace {

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kPcapng = 0x0a0d0d0a;  // block type of a section header, the same in both byte orders
constexpr std::uint32_t kLinkTypeEthernet = 1;
constexpr std::uint32_t kMaxFrameLength = 1 << 20;

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(path, std::ios::binary) {
    if (!file_) fail("cannot be opened");
    std::array<std::uint32_t, 6> header{};
    if (!read(header)) fail("is no pcap file");
    if (header[0] == kPcapng) fail("is a pcapng file; `editcap -F pcap FILE NEW` converts it");
    swapped_ = header[0] == __builtin_bswap32(kMicroseconds) || header[0] == __builtin_bswap32(kNanoseconds);
    const std::uint32_t magic = number(header[0]);
    if (magic != kMicroseconds && magic != kNanoseconds) fail("is no pcap file");
    // The upper four bits of the link type tell about frame check sequences.
    if ((number(header[5]) & 0x0fffffff) != kLinkTypeEthernet) fail("does not hold Ethernet frames");
  }

  /// False at the end of the file.
  bool next(std::string& frame) {
    std::array<std::uint32_t, 4> header{};  // seconds, fraction, captured length, length on the wire
    if (!read(header)) return false;
    const std::uint32_t length = number(header[2]);
    if (length > kMaxFrameLength) fail("is damaged");
    frame.resize(length);
    if (!file_.read(frame.data(), length)) fail("ends within a frame");
    return true;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError("--pcap " + path_ + ": the file " + what);
  }

 private:
  template <std::size_t N>
  bool read(std::array<std::uint32_t, N>& words) {
    std::array<char, 4 * N> bytes{};
    if (!file_.read(bytes.data(), bytes.size())) return false;
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return true;
  }
  std::uint32_t number(std::uint32_t word) const { return swapped_ ? __builtin_bswap32(word) : word; }

  std::string path_;
  std::ifstream file_;
  bool swapped_ = false;
};

}  // namespace

std::string frame_of_capture(const std::string& path, std::size_t number) {
  Reader reader(path);
  std::string frame;
  for (std::size_t i = 0; i < number; ++i) {
    if (!reader.next(frame)) reader.fail("has only " + std::to_string(i) + " frames");
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : frame) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

}  // namespace vswitch::ctl
