// SPDX-License-Identifier: Apache-2.0
// A load generator: UDP frames from one or more devices, as fast as the kernel takes them or at a rate.
//
//   bench_load [OPTIONS] DEVICE,SOURCE,DESTINATION...
//
// A stream leaves through DEVICE; SOURCE and DESTINATION are its MAC addresses as 12 hexadecimal digits.
// Frames are made beforehand and leave 64 to a system call, streams in turn. At a rate, what is due leaves at
// once, so that a late sender makes up for it and the count is exact. With --copies N each device has a tc
// filter that makes N of a frame, which costs less than sending N. The last line of output is a JSON object.
#include <getopt.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <numeric>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/bench/tools/packet_tool.h"

namespace {

using namespace bench;

constexpr std::chrono::microseconds kPause{20};
constexpr std::size_t kLeastLength = sizeof(ethhdr) + sizeof(iphdr) + sizeof(udphdr);
// "Simple IMIX", 7:4:1, spread out. Lengths are without FCS, as everywhere in this benchmark.
constexpr std::array<std::size_t, 12> kMix{64, 594, 64, 64, 594, 64, 1514, 64, 594, 64, 594, 64};

struct Options {
  std::vector<std::size_t> lengths{64};  // taken in turn
  std::size_t flows = 1;                 // UDP source ports
  std::uint64_t addresses = 1;           // MAC addresses on either side, pairwise
  double rate = 0;                       // frames per second of all streams, 0 = as many as possible
  double seconds = 1;
  std::uint64_t count = ~std::uint64_t{0};  // ends earlier when each stream has tried this many
  std::uint64_t copies = 1;                 // what the device makes of a frame
  int core = -1;
};

struct Stream {
  std::string device;
  std::uint64_t source, destination;
};

void put_mac(std::uint8_t* at, std::uint64_t mac) {
  for (int byte = 5; byte >= 0; --byte, mac >>= 8) at[byte] = static_cast<std::uint8_t>(mac);
}

std::uint16_t header_checksum(std::span<const std::uint8_t> header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header.size(); i += 2)
    sum += static_cast<std::uint32_t>(header[i] << 8 | header[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

/// An IPv4 UDP frame without a UDP checksum, which IPv4 allows: nothing on the way has one to finish.
std::vector<std::uint8_t> make_frame(const Stream& stream, std::uint64_t address, std::size_t flow,
                                     std::size_t length) {
  std::vector<std::uint8_t> bytes(length);
  put_mac(&bytes[0], stream.destination + address);
  put_mac(&bytes[6], stream.source + address);
  bytes[12] = ETH_P_IP >> 8;
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.tot_len = htons(static_cast<std::uint16_t>(length - sizeof(ethhdr)));
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.saddr = htonl(0x0a4d0001);
  ip.daddr = htonl(0x0a4d0002);
  std::memcpy(&bytes[sizeof(ethhdr)], &ip, sizeof ip);
  ip.check = header_checksum(std::span(bytes).subspan(sizeof(ethhdr), sizeof ip));
  std::memcpy(&bytes[sizeof(ethhdr)], &ip, sizeof ip);
  udphdr udp{};
  udp.source = htons(static_cast<std::uint16_t>(1024 + flow));
  udp.dest = htons(9);
  udp.len = htons(static_cast<std::uint16_t>(length - sizeof(ethhdr) - sizeof ip));
  std::memcpy(&bytes[sizeof(ethhdr) + sizeof ip], &udp, sizeof udp);
  return bytes;
}

/// Sends the frames of one stream round and round.
class Source {
 public:
  Source(const Stream& stream, const Options& options) : sender_(stream.device, false, options.copies == 1) {
    const std::size_t variants = std::lcm(options.lengths.size(), std::max(options.flows, options.addresses));
    for (std::size_t i = 0; i < variants; ++i) {
      frames_.push_back(make_frame(stream, i % options.addresses, i % options.flows,
                                   options.lengths[i % options.lengths.size()]));
    }
  }

  std::size_t send(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      sender_.add(frames_[next_].data(), frames_[next_].size());
      next_ = next_ + 1 == frames_.size() ? 0 : next_ + 1;
    }
    return sender_.flush();
  }

 private:
  Sender sender_;
  std::vector<std::vector<std::uint8_t>> frames_;
  std::size_t next_ = 0;
};

struct Result {
  std::uint64_t sent = 0, refused = 0;
  double seconds = 0;
};

/// How many frames each stream should have tried to send by now.
std::uint64_t due(const Options& options, std::size_t streams, double seconds, std::uint64_t done) {
  if (options.rate <= 0) return options.count;
  const double share = seconds * options.rate / static_cast<double>(streams);
  return std::clamp(static_cast<std::uint64_t>(share) + 1, done, options.count);
}

Result run(std::deque<Source>& sources, const Options& options) {
  Result result;
  std::uint64_t tried = 0;  // on each stream
  const std::int64_t begin = now_ns();
  for (;;) {
    result.seconds = static_cast<double>(now_ns() - begin) / 1e9;
    if (result.seconds >= options.seconds || tried >= options.count) break;
    const std::size_t count =
        std::min<std::uint64_t>(due(options, sources.size(), result.seconds, tried) - tried, kBatch);
    if (count == 0) std::this_thread::sleep_for(kPause);  // others may want the processor
    for (Source& source : sources) {
      const std::size_t taken = source.send(count);
      result.sent += taken;
      result.refused += count - taken;
    }
    tried += count;
  }
  result.sent *= options.copies;
  return result;
}

std::vector<std::size_t> lengths_of(std::string_view text) {
  if (text == "mix") return {kMix.begin(), kMix.end()};
  return {std::clamp<std::size_t>(std::stoul(std::string(text)), kLeastLength, ETH_FRAME_LEN)};
}

Stream stream_of(const std::string& text) {
  const std::size_t first = text.find(','), second = text.find(',', first + 1);
  if (second == std::string::npos) {
    errno = EINVAL;
    fail(text);
  }
  return {text.substr(0, first), std::stoull(text.substr(first + 1, second - first - 1), nullptr, 16),
          std::stoull(text.substr(second + 1), nullptr, 16)};
}

Options parse_options(int argc, char** argv) {
  Options options;
  const option known[] = {
      {"length", 1, nullptr, 'l'}, {"flows", 1, nullptr, 'f'},  {"addresses", 1, nullptr, 'a'},
      {"rate", 1, nullptr, 'r'},   {"count", 1, nullptr, 'n'},  {"seconds", 1, nullptr, 's'},
      {"core", 1, nullptr, 'c'},   {"copies", 1, nullptr, 'x'}, {nullptr, 0, nullptr, 0}};
  for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (letter) {
      case 'l':
        options.lengths = lengths_of(optarg);
        break;
      case 'f':
        options.flows = std::max(std::stoul(optarg), 1UL);
        break;
      case 'a':
        options.addresses = std::max(std::stoul(optarg), 1UL);
        break;
      case 'r':
        options.rate = std::stod(optarg);
        break;
      case 'n':
        options.count = std::stoul(optarg);
        break;
      case 's':
        options.seconds = std::stod(optarg);
        break;
      case 'c':
        options.core = std::stoi(optarg);
        break;
      case 'x':
        options.copies = std::max(std::stoul(optarg), 1UL);
        break;
      default:
        std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  if (options.core >= 0) pin_to(options.core);
  std::deque<Source> sources;
  for (int i = optind; i < argc; ++i) sources.emplace_back(stream_of(argv[i]), options);
  if (sources.empty()) {
    std::fputs("usage: bench_load [OPTIONS] DEVICE,SOURCE,DESTINATION...\n", stderr);
    return 2;
  }
  const Result result = run(sources, options);
  std::printf("{\"sent\": %lu, \"refused\": %lu, \"seconds\": %.6f}\n", result.sent, result.refused,
              result.seconds);
}
