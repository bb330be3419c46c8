// SPDX-License-Identifier: Apache-2.0
// Keeps the host's own network stack away from the devices of the switch: it neither sees what arrives there
// nor sends there.
//
// How. A clsact queueing discipline with a two-line eBPF program on each side (tc-bpf(8), direct action). At
// ingress it drops every frame, after packet sockets have received it. At egress it drops everything but the
// switch's own frames, which bypass queueing disciplines or carry kSwitchMark; the program clears the mark.
//
// Whose. The names of the filters say which daemon installed them, for people (`tc filter show dev X
// ingress`) and for the next daemon:
//     vswitch pid=71 start=8125 pidns=4026531836 clsact=made rundir=/run/vswitch
// Whether that daemon lives is seen by a socket that it holds, also from another pid namespace. What belongs to a
// daemon that lives is left alone.
// A clsact that existed before, and filters of others, stay as they are. While ours are installed, frames
// reach the filters of others only if those have precedence. Programs of tcx run before all filters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vswitch::netlink {

struct Isolation {
  std::optional<std::string> trouble = {};  ///< why the host may still see the device, as a sentence
  bool was_lost = false;                    ///< somebody had removed it
};

class HostIsolation {
 public:
  /// `rundir`: for people. `ingress_program`: takes the place of the one that drops everything, and drops everything
  /// that it does not send elsewhere; -1: none. Throws std::system_error if a socket cannot be opened.
  explicit HostIsolation(std::string rundir, int ingress_program = -1);
  /// Releases everything.
  ~HostIsolation();

  /// Isolates the device from the host's stack. Returns nothing, or a sentence that says why the host still
  /// sees the device (bpf(2) not permitted, device gone, ...): a reason for a warning, since the switch works
  /// without isolation. Calling it twice does nothing more.
  [[nodiscard]] std::optional<std::string> isolate(int ifindex);
  /// Looks whether the device is still isolated, and isolates it again if it is not.
  [[nodiscard]] Isolation look(int ifindex);

  /// Restores the device. A device that is gone, or was never isolated, is not an error. Returns nothing, or
  /// a sentence that says why the host may still be without the device; then the destructor tries once more.
  [[nodiscard]] std::optional<std::string> release(int ifindex);

  /// Removes what daemons that have ended left behind, with the clsact they had created. Returns a sentence per
  /// device. Throws std::runtime_error with a sentence if the kernel refuses, as others() does.
  std::vector<std::string> clean_leftovers();
  /// The devices that other daemons have isolated, with a sentence about each.
  std::vector<std::string> others();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
