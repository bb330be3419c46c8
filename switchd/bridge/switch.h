// SPDX-License-Identifier: Apache-2.0
// The switch as a whole: follows the database, runs the datapath, reports back.
//
// clang-format off
// A setting's walk, from the commit on (all on the control thread):
//
//     on_commit -> apply() at the end of this turn of the event loop, once for all commits of the turn
//       read_desired    rows -> plain values                                     desired.cc
//       follow          make endpoints, ask for the way to them                  endpoints.cc
//                       open and close devices, some a turn                      attachments.cc
//       compile         names -> numbers, sessions -> candidate lists            datapath/snapshot/compiler.cc
//       publish         every worker uses the new snapshot when it returns       datapath/engine/datapath.cc
//       close_retired   devices nobody uses any more go back to the host         attachments.cc
//       write_status    ofport, error, states, cur_cfg                           status.cc
//     when_applied callbacks: replies go out
// clang-format on
//
// A device that comes, goes or changes starts the same walk, and so does a route, an address or a neighbour
// on the way to an endpoint. One walk ends before the next begins: what is committed while devices are being
// opened is the next one's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "switchd/api/switch_view.h"

namespace boost::asio {
class io_context;
}

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

struct SwitchOptions {
  std::size_t workers = 0;  ///< 0 = what the database says (switchd/bridge/datapath_settings.h)
  std::string rundir;       ///< owner tag of what is put into the kernel
};

class Switch : public SwitchView {
 public:
  /// Cleans what an earlier daemon of this run directory left in the kernel. What the database says is
  /// applied by the event loop. Throws std::system_error when the machine refuses netlink sockets, threads or
  /// memory.
  Switch(boost::asio::io_context& io, ovsdb::Database& database, SwitchOptions options);
  /// Gives every device back to the host.
  ~Switch() override;

  void when_applied(std::function<void()> done) override;
  std::vector<FdbEntry> fdb(const std::string& bridge) override;
  std::size_t flush_fdb(const std::string& bridge) override;
  bool pin_fdb(const std::string& bridge, const std::string& port, VlanId vlan, const MacAddr& mac) override;
  bool unpin_fdb(const std::string& bridge, VlanId vlan, const MacAddr& mac) override;
  FdbStatistics fdb_statistics(const std::string& bridge) override;
  void clear_fdb_statistics(const std::string& bridge) override;
  std::optional<std::uint32_t> datapath_number(const std::string& bridge, const std::string& port) override;
  Counters mirror_counters(const ovsdb::Uuid& mirror) override;
  std::map<std::string, Counters> destination_counters(const ovsdb::Uuid& mirror) override;
  BoundSources bound_sources(const ovsdb::Uuid& mirror) override;
  Counters interface_counters(const ovsdb::Uuid& interface) override;
  Counters drops() override;
  std::size_t workers() override;
  DatapathState datapath_state() override;
  std::optional<Explanation> explain(const std::string& bridge, const std::string& in_port,
                                     std::span<const std::uint8_t> frame) override;
  std::optional<std::uint64_t> explain_next(const std::string& bridge, const std::string& in_port,
                                            std::optional<Match> match, std::chrono::milliseconds patience,
                                            std::function<void(std::optional<NextFrame>)> done) override;
  void stop_waiting(std::uint64_t request) override;

  /// Bytes that wait in the mirror queues.
  std::size_t queued_copy_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::bridge
