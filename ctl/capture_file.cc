// SPDX-License-Identifier: Apache-2.0
#include "ctl/capture_file.h"

#include <boost/algorithm/hex.hpp>
#include <pcap/pcap.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>

#include "ctl/command.h"
#include "ctl/input_file.h"

namespace vswitch::ctl {
namespace {

using Capture = std::unique_ptr<pcap_t, decltype(&pcap_close)>;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw UsageError("--pcap " + path + ": the file " + what);
}

Capture open_capture(const std::string& path) {
  const int fd = open_input(path);
  std::FILE* file = ::fdopen(fd, "rb");
  if (file == nullptr) {
    const int cause = errno;
    ::close(fd);
    fail(path, "cannot be read: " + std::string(std::strerror(cause)));
  }
  std::array<char, PCAP_ERRBUF_SIZE> trouble{};
  Capture capture(pcap_fopen_offline(file, trouble.data()), &pcap_close);
  if (!capture) {
    std::fclose(file);  // otherwise pcap_close() does
    fail(path, "is not a readable pcap file: " + std::string(trouble.data()));
  }
  if (pcap_datalink(capture.get()) != DLT_EN10MB) fail(path, "does not hold Ethernet frames");
  return capture;
}

}  // namespace

std::string frame_of_capture(const std::string& path, std::size_t number) {
  const Capture capture = open_capture(path);
  std::string hex;
  for (std::size_t i = 0; i < number; ++i) {
    pcap_pkthdr* header = nullptr;
    const unsigned char* frame = nullptr;
    const int got = pcap_next_ex(capture.get(), &header, &frame);
    if (got == PCAP_ERROR_BREAK) fail(path, "has only " + std::to_string(i) + " frames");
    if (got != 1) fail(path, "ends within a frame or is damaged: " + std::string(pcap_geterr(capture.get())));
    if (i + 1 == number) boost::algorithm::hex_lower(frame, frame + header->caplen, std::back_inserter(hex));
  }
  return hex;
}

}  // namespace vswitch::ctl
