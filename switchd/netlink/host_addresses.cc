// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/host_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace vswitch::netlink {

namespace {

std::optional<IpAddress> address_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), sizeof v4->sin_addr});
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) return std::nullopt;
  return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&v6->sin6_addr), sizeof v6->sin6_addr});
}

}  // namespace

HostAddresses read_host_addresses() {
  HostAddresses addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (const auto address = address_of(one->ifa_addr)) addresses[one->ifa_name].push_back(*address);
  }
  return addresses;
}

const HostAddresses& HostAddressCache::at(TimeNs now) {
  if (read_at_ == 0 || now - read_at_ >= kSecondNs) {
    addresses_ = read_host_addresses();
    read_at_ = now;
  }
  return addresses_;
}

}  // namespace vswitch::netlink
