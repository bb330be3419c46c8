// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/device_query.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <iterator>

namespace vswitch {
namespace {

/// Fills in the answer to `question` (netdevice(7)). The name is queried each time because it may change.
bool ask(int socket, int ifindex, unsigned long question, ifreq& request) {
  request.ifr_ifindex = ifindex;
  return ::ioctl(socket, SIOCGIFNAME, &request) == 0 && ::ioctl(socket, question, &request) == 0;
}

template <typename Question>
bool ask_ethtool(int socket, int ifindex, Question& question) {
  ifreq request{};
  request.ifr_ifindex = ifindex;
  if (::ioctl(socket, SIOCGIFNAME, &request) != 0) return false;
  request.ifr_data = reinterpret_cast<char*>(&question);  // as SIOCETHTOOL requires
  return ::ioctl(socket, SIOCETHTOOL, &request) == 0;
}

}  // namespace

bool has_carrier(int socket, int ifindex) {
  ifreq request{};
  return ask(socket, ifindex, SIOCGIFFLAGS, request) && (request.ifr_flags & IFF_RUNNING) != 0;
}

std::size_t mtu_of(int socket, int ifindex) {
  ifreq request{};
  return ask(socket, ifindex, SIOCGIFMTU, request) ? static_cast<std::size_t>(request.ifr_mtu) : 0;
}

std::string driver_of(int socket, int ifindex) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (!ask_ethtool(socket, ifindex, info)) return {};
  info.driver[std::size(info.driver) - 1] = '\0';
  return info.driver;
}

std::size_t send_queues_of(int socket, int ifindex) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  return ask_ethtool(socket, ifindex, channels) ? channels.tx_count + channels.combined_count : 0;
}

bool set_tx_checksum(int socket, int ifindex, bool on) {
  ethtool_value value{.cmd = ETHTOOL_STXCSUM, .data = on ? 1U : 0U};
  return ask_ethtool(socket, ifindex, value);
}

}  // namespace vswitch
