// SPDX-License-Identifier: Apache-2.0
// Tells when somebody removes queueing disciplines or filters (tc(8)) from devices of the daemon's namespace.
#pragma once

#include <functional>
#include <memory>
#include <set>

namespace boost::asio {
class io_context;
}

namespace vswitch::netlink {

class TcMonitor {
 public:
  /// `removed` is called on the io_context with the indexes of the devices, or with none if notifications were
  /// lost. Throws std::system_error if the netlink socket cannot be opened.
  TcMonitor(boost::asio::io_context& io, std::function<void(const std::set<int>& ifindexes)> removed);
  ~TcMonitor();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
