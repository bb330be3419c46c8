// SPDX-License-Identifier: Apache-2.0
// Round trips of small UDP datagrams, one at a time.
//
//   bench_pingpong server ADDRESS PORT
//   bench_pingpong client ADDRESS PORT SECONDS CORE
//
// Both sleep while they wait, as programs do. Datagrams carry no UDP checksum: a switch that cannot finish
// one can be measured too. The client prints a JSON object with half round trips in microseconds.
#include <netinet/in.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "tests/bench/tools/packet_tool.h"

namespace {

using namespace bench;

constexpr double kWarmUp = 0.1;  // seconds: addresses are resolved, sockets and caches are warm

sockaddr_in address_of(const char* address, const char* port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<std::uint16_t>(std::stoul(port)));
  if (inet_pton(AF_INET, address, &result.sin_addr) != 1) fail(address);
  return result;
}

int udp_socket() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) fail("UDP socket");
  set_option(fd, SOL_SOCKET, SO_NO_CHECK, 1, "SO_NO_CHECK");
  return fd;
}

[[noreturn]] void serve(const sockaddr_in& where) {
  const int fd = udp_socket();
  if (bind(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) fail("bind");
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    std::uint64_t number = 0;
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(fd, &number, sizeof number, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got == sizeof number)
      sendto(fd, &number, sizeof number, 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

/// Nanoseconds there and back, or -1 when no answer comes within the socket's patience.
std::int64_t round_trip(int fd, std::uint64_t number) {
  const std::int64_t begin = now_ns();
  if (send(fd, &number, sizeof number, 0) < 0) return -1;
  for (std::uint64_t answer = ~number; answer != number;) {  // an answer to an earlier one may come late
    if (recv(fd, &answer, sizeof answer, 0) < 0) return -1;
  }
  return now_ns() - begin;
}

void measure(const sockaddr_in& where, double seconds) {
  const int fd = udp_socket();
  set_option(fd, SOL_SOCKET, SO_RCVTIMEO, timeval{.tv_sec = 0, .tv_usec = 200'000}, "SO_RCVTIMEO");
  if (connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) fail("connect");
  std::vector<std::int64_t> took;
  std::uint64_t lost = 0, number = 0;
  const std::int64_t begin = now_ns();
  for (double passed = 0; passed < kWarmUp + seconds; passed = static_cast<double>(now_ns() - begin) / 1e9) {
    const std::int64_t one = round_trip(fd, ++number);
    if (passed < kWarmUp) continue;
    if (one < 0) {
      ++lost;
    } else {
      took.push_back(one);
    }
  }
  std::sort(took.begin(), took.end());
  const auto percentile = [&took](double part) {
    if (took.empty()) return 0.0;
    return static_cast<double>(took[static_cast<std::size_t>(part * static_cast<double>(took.size() - 1))]) /
           2e3;
  };
  std::printf("{\"count\": %zu, \"lost\": %lu, \"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f}\n", took.size(),
              lost, percentile(0.5), percentile(0.99), percentile(0.999));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "server" && argc == 4) serve(address_of(argv[2], argv[3]));
  if (what != "client" || argc != 6) {
    std::fputs("usage: bench_pingpong server ADDRESS PORT | client ADDRESS PORT SECONDS CORE\n", stderr);
    return 2;
  }
  pin_to(std::stoi(argv[5]));
  measure(address_of(argv[2], argv[3]), std::stod(argv[4]));
}
