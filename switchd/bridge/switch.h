// SPDX-License-Identifier: Apache-2.0
// The switch as a whole: it follows the database, runs the datapath, and reports back.
//
// clang-format off
// The path of a setting, called a walk, from the commit on (all on the control thread):
//
//     on_commit -> apply() at the end of this turn of the event loop, once for all commits of the turn
//       read_desired    rows -> plain values                                     desired.cc
//       reconcile       create endpoints, look up the path to them               endpoints.cc
//                       open and close devices, a few per turn                   attachments.cc, attachment.h
//       pick_ofports    OpenFlow port numbers, before anything refers to them    ofports.cc
//       decide          which sessions copy, and the state of each               session_state.cc
//       compile         names -> numbers, sessions -> candidate lists            datapath/snapshot/compile.cc
//       publish         every worker uses the new snapshot when it returns       datapath/engine/datapath.cc
//       close_retired   devices that are no longer used go back to the host      attachments.cc
//       write_identity  versions, types, datapath ids                            identity.cc
//       write_status    ofport, error, states; then cur_cfg, last of all         status.cc
//     when_applied callbacks: replies go out
// clang-format on
//
// A device that appears, disappears or changes starts the same walk, and so does a route, an address or a
// neighbour on the path to an endpoint. One walk ends before the next begins: commits that are made while
// devices are being opened are left to the next walk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "switchd/bridge/switch_view.h"

namespace boost::asio {
class io_context;
}

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

struct SwitchOptions {
  std::size_t workers = 0;       ///< 0 = from the database (switchd/model/datapath_settings.h)
  bool kernel_fast_path = true;  ///< false: none, whatever the database says
  std::string rundir;            ///< owner tag of objects created in the kernel
  std::string accounts;          ///< file in which the accounts of sessions outlive the daemon
};

class Switch : public AppliedView {
 public:
  /// Removes what an earlier daemon of this run directory left in the kernel. The event loop applies the
  /// settings in the database. Throws std::system_error if the machine refuses netlink sockets, threads or
  /// memory.
  Switch(boost::asio::io_context& io, ovsdb::Database& database, SwitchOptions options);
  /// Gives every device back to the host. Those of internal ports stay as they are, for the next daemon.
  ~Switch() override;
  /// Those that a switch has made go at the end.
  void remove_internal_devices_at_end();

  void when_applied(std::function<void()> done) override;
  /// Valid as long as the switch exists.
  SwitchView view();
  /// Bytes pending in the mirror queues.
  std::size_t queued_copy_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::bridge
