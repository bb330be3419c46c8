// SPDX-License-Identifier: Apache-2.0
// Frames with numbers, and what has become of them: lost, doubled, overtaken.
//
//   bench_numbered send RATE COUNT DEVICE,SOURCE,DESTINATION...
//   bench_numbered receive SECONDS DEVICE
//
// `send` numbers the frames of each stream from 0; RATE is frames per second of all streams, 0 = as many as possible.
// SOURCE and DESTINATION are MAC addresses as 12 hexadecimal digits. `receive` prints "ready" when it receives, and ends
// when no numbered frame has come for SECONDS after the first one, or by SIGTERM. Then it prints one JSON object:
// {source address: {"frames": distinct numbers, "doubled": numbers seen again, "late": frames whose number is lower than
// one before, "last": highest number}}, and under "dropped" how many frames it was too slow for.
#include <poll.h>
#include <sys/mman.h>

#include <csignal>
#include <map>
#include <thread>
#include <vector>

#include "tests/bench/tools/packet_tool.h"

namespace {

using namespace bench;

constexpr std::uint16_t kEtherType = 0x88b5;  // local experimental (IEEE 802)
constexpr std::size_t kLength = 64;
constexpr std::size_t kNumberAt = sizeof(ethhdr);
constexpr std::size_t kSlots = 1 << 18, kSlotSize = 256, kBlockSize = 1 << 20;

volatile std::sig_atomic_t stopping = 0;

std::uint64_t mac_at(const std::uint8_t* bytes) {
  std::uint64_t mac = 0;
  for (int i = 0; i < 6; ++i) mac = mac << 8 | bytes[i];
  return mac;
}

struct Stream {
  Sender sender;
  std::vector<std::array<std::uint8_t, kLength>> frames;
  std::uint64_t next = 0;

  explicit Stream(const std::string& text) : sender(text.substr(0, text.find(','))) {
    const std::size_t first = text.find(','), second = text.find(',', first + 1);
    if (second == std::string::npos) fail("DEVICE,SOURCE,DESTINATION");
    std::array<std::uint8_t, kLength> frame{};
    const auto put = [&frame](std::size_t at, std::uint64_t mac) {
      for (std::size_t i = 6; i-- > 0; mac >>= 8) frame[at + i] = static_cast<std::uint8_t>(mac);
    };
    put(0, std::stoull(text.substr(second + 1), nullptr, 16));
    put(6, std::stoull(text.substr(first + 1, second - first - 1), nullptr, 16));
    frame[12] = kEtherType >> 8;
    frame[13] = kEtherType & 0xff;
    frames.assign(kBatch, frame);
  }

  void send(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, ++next) {
      std::memcpy(&frames[i][kNumberAt], &next, sizeof next);
      sender.add(frames[i].data(), kLength);
    }
    if (sender.flush() != count) fail("the device does not take every frame");
  }
};

int send(double rate, std::uint64_t count, const std::vector<std::string>& texts) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (const std::string& text : texts) streams.push_back(std::make_unique<Stream>(text));
  const std::int64_t begin = now_ns();
  for (std::uint64_t sent = 0; sent < count;) {
    const double seconds = static_cast<double>(now_ns() - begin) / 1e9;
    const auto due =
        rate <= 0
            ? count
            : std::min(count,
                       static_cast<std::uint64_t>(seconds * rate / static_cast<double>(streams.size())) + 1);
    const std::uint64_t now = std::min<std::uint64_t>(due - sent, rate <= 0 ? kBatch : kBatch / 4);
    if (now == 0) std::this_thread::sleep_for(std::chrono::microseconds(5));
    for (const auto& stream : streams) stream->send(now);
    sent += now;
  }
  std::printf("{\"seconds\": %.6f}\n", static_cast<double>(now_ns() - begin) / 1e9);
  return 0;
}

struct Account {
  std::uint64_t frames = 0, doubled = 0, late = 0, last = 0;
  std::vector<bool> seen;

  void add(std::uint64_t number) {
    if (number >= seen.size()) seen.resize(number + number / 2 + 1024);
    seen[number] ? ++doubled : ++frames;
    seen[number] = true;
    if (number < last) ++late;
    last = std::max(last, number);
  }
};

int receive(double patience, const std::string& device) {
  const int fd = packet_socket();
  set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2, "PACKET_VERSION");
  set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
  const tpacket_req shape{kBlockSize, kSlots * kSlotSize / kBlockSize, kSlotSize, kSlots};
  set_option(fd, SOL_PACKET, PACKET_RX_RING, shape, "PACKET_RX_RING");
  void* memory = mmap(nullptr, kSlots * kSlotSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  bind_to(fd, device, ETH_P_ALL);
  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::puts("ready");
  std::fflush(stdout);
  std::map<std::uint64_t, Account> accounts;
  std::int64_t last_frame = 0;
  for (std::size_t slot = 0; stopping == 0;) {
    auto* header = reinterpret_cast<tpacket2_hdr*>(static_cast<std::uint8_t*>(memory) + slot * kSlotSize);
    if ((__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) {
      if (last_frame != 0 && static_cast<double>(now_ns() - last_frame) / 1e9 > patience) break;
      pollfd waiting{fd, POLLIN, 0};
      poll(&waiting, 1, 10);
      continue;
    }
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(header) + header->tp_mac;
    if (header->tp_len >= kLength && (bytes[12] << 8 | bytes[13]) == kEtherType) {
      std::uint64_t number;
      std::memcpy(&number, bytes + kNumberAt, sizeof number);
      accounts[mac_at(bytes + 6)].add(number);
      last_frame = now_ns();
    }
    __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    slot = slot + 1 == kSlots ? 0 : slot + 1;
  }
  tpacket_stats stats{};
  socklen_t length = sizeof stats;
  getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length);
  std::printf("{\"dropped\": %u", stats.tp_drops);
  for (const auto& [mac, account] : accounts) {
    std::printf(", \"%012lx\": {\"frames\": %lu, \"doubled\": %lu, \"late\": %lu, \"last\": %lu}", mac,
                account.frames, account.doubled, account.late, account.last);
  }
  std::puts("}");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "send" && argc > 4)
    return send(std::stod(argv[2]), std::stoull(argv[3]), {argv + 4, argv + argc});
  if (what == "receive" && argc == 4) return receive(std::stod(argv[2]), argv[3]);
  std::fputs("usage: bench_numbered send RATE COUNT DEVICE,SOURCE,DESTINATION... | receive SECONDS DEVICE\n",
             stderr);
  return 2;
}
