// SPDX-License-Identifier: Apache-2.0
#include "ctl/capture_file.h"

#include <pcap/pcap.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
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
  Capture capture(pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, trouble.data()),
                  &pcap_close);
  if (!capture) {
    std::fclose(file);  // otherwise pcap_close() does
    fail(path, "is not a readable pcap file: " + std::string(trouble.data()));
  }
  if (pcap_datalink(capture.get()) != DLT_EN10MB) fail(path, "does not hold Ethernet frames");
  return capture;
}

}  // namespace

CapturedFrames frames_of_capture(const std::string& path, std::size_t first, std::size_t most) {
  const Capture capture = open_capture(path);
  CapturedFrames found;
  for (std::size_t number = 1;; ++number) {
    pcap_pkthdr* header = nullptr;
    const unsigned char* frame = nullptr;
    const int got = pcap_next_ex(capture.get(), &header, &frame);
    if (got != 1) {
      const std::string trouble =
          got == PCAP_ERROR_BREAK
              ? "has only " + std::to_string(number - 1) + " frames"
              : "ends within a frame or is damaged: " + std::string(pcap_geterr(capture.get()));
      if (found.frames.empty()) fail(path, trouble);
      if (got != PCAP_ERROR_BREAK) found.trouble = "the file " + trouble;
      return found;
    }
    if (number < first) continue;
    found.has_more = found.frames.size() == most;
    if (found.has_more) return found;
    constexpr std::uint64_t kNanoseconds = 1'000'000'000;
    found.frames.push_back({number,
                            static_cast<std::uint64_t>(header->ts.tv_sec) * kNanoseconds +
                                static_cast<std::uint64_t>(header->ts.tv_usec),  // nanoseconds, as asked for
                            header->len,
                            {frame, frame + header->caplen}});
  }
}

}  // namespace vswitch::ctl
