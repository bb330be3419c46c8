// SPDX-License-Identifier: Apache-2.0
// Keeps the host's own stack away from the devices of the switch: it neither sees what arrives there nor
// sends there.
//
// How. A clsact queueing discipline with a two-line eBPF program on each side (tc-bpf(8), direct action). At
// ingress it drops every frame; packet sockets have had it by then. At egress it drops everything but the
// switch's own frames: those bypass queueing disciplines or carry kSwitchMark, which the program takes off.
//
// Whose. The filters' name says who put them there, to people (`tc filter show dev X ingress`) and to the
// next daemon:
//     vswitch pid=71 start=8125 pidns=4026531836 clsact=made rundir=/run/vswitch
// A clsact that was there before, and everybody else's filters, stay as they are. Frames reach filters of
// others only where theirs have precedence, as long as ours is there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vswitch::netlink {

class HostIsolation {
 public:
  /// `rundir` tells this daemon from others on the machine. Throws std::system_error when there is no netlink
  /// socket to be had.
  explicit HostIsolation(std::string rundir);
  /// Releases everything.
  ~HostIsolation();

  /// Cuts the device off from the host's stack. Returns nothing, or a sentence that says why the host still
  /// sees the device (bpf(2) not permitted, device gone, ...): a reason for a warning, since the switch works
  /// without. Twice is once.
  [[nodiscard]] std::optional<std::string> isolate(int ifindex);

  /// Gives the device back as it was. A device that is gone, or was never isolated, is no error. Returns
  /// nothing, or a sentence that says why the host may still miss it; then the end tries once more.
  [[nodiscard]] std::optional<std::string> release(int ifindex);

  /// To be called once, before the first isolate(): removes what earlier daemons left behind, namely filters
  /// of the same run directory and those of processes that no longer live, with the clsact they had made.
  /// Returns a sentence per device cleaned, or not to be cleaned.
  std::vector<std::string> clean_leftovers();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
