// SPDX-License-Identifier: Apache-2.0
#include "datapath/base/ip_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace vswitch {

bool IpAddress::is_unspecified() const {
  return std::all_of(octets.begin(), octets.end(), [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_multicast() const {
  if (v6) return octets[0] == 0xff;
  const auto four = bytes();
  const bool broadcast =
      std::all_of(four.begin(), four.end(), [](std::uint8_t octet) { return octet == 0xff; });
  return broadcast || (octets[0] & 0xf0) == 0xe0;
}

bool IpAddress::is_v4_mapped() const {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return v6 && std::equal(kPrefix.begin(), kPrefix.end(), octets.begin());
}

socklen_t IpAddress::to_sockaddr(sockaddr_storage& out) const {
  out = {};
  if (v6) {
    auto& address = reinterpret_cast<sockaddr_in6&>(out);
    address.sin6_family = AF_INET6;
    address.sin6_scope_id = scope;
    std::memcpy(&address.sin6_addr, octets.data(), 16);
    return sizeof address;
  }
  auto& address = reinterpret_cast<sockaddr_in&>(out);
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, octets.data(), 4);
  return sizeof address;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  std::string result = ::inet_ntop(family(), octets.data(), text, sizeof text);
  char name[IF_NAMESIZE];
  if (scope != 0)
    result += '%' + (::if_indextoname(scope, name) != nullptr ? std::string(name) : std::to_string(scope));
  return result;
}

std::optional<IpAddress> IpAddress::parse(const std::string& text) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_DGRAM;
  IpAddress address;
  // getaddrinfo() would also accept IPv4 addresses such as "10.1" and "0x0a000001".
  if (text.find(':') == std::string::npos) {
    if (::inet_pton(AF_INET, text.c_str(), address.octets.data()) != 1) return std::nullopt;
    return address;
  }
  addrinfo* found = nullptr;
  if (::getaddrinfo(text.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  if (list->ai_family != AF_INET6) return std::nullopt;
  const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(list->ai_addr);
  address.v6 = true;
  address.scope = v6.sin6_scope_id;
  std::memcpy(address.octets.data(), &v6.sin6_addr, 16);
  return address;
}

IpAddress IpAddress::from_bytes(std::span<const std::uint8_t> bytes) {
  IpAddress address;
  address.v6 = bytes.size() == 16;
  std::copy_n(bytes.begin(), address.bytes().size(), address.octets.begin());
  return address;
}

}  // namespace vswitch
