// SPDX-License-Identifier: Apache-2.0
// An internal port: a tap device through which the host itself takes part in the network.
//
// The port receives what the host sends on the device, and what the port sends arrives in the host's stack. The
// device is the host's: a persistent one stays when the port is closed, with its addresses and routes, and can be
// opened again. The port goes on working if the device is renamed or moved to another network namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "datapath/base/unique_fd.h"
#include "datapath/port/port.h"

namespace vswitch {

struct TapOptions {
  std::string name;            ///< of the device, 1 to 15 characters
  std::size_t senders = 1;     ///< SenderId 0 .. senders-1 may send
  std::optional<MacAddr> mac;  ///< of a device that is created; nullopt: the kernel chooses one
};

/// Where the device of a tap port is now.
struct TapPlace {
  std::string name;
  UniqueFd netns;  ///< its network namespace; none: that of the daemon. It keeps the namespace alive
};

class TapPort : public Port {
 public:
  /// The device was created by open_tap_port(): it is down and has no addresses.
  virtual bool is_new() const = 0;
  /// nullopt if the device is gone.
  virtual std::optional<TapPlace> place() const = 0;
  /// A persistent device stays when it is closed; another one disappears then, however the process ends.
  virtual void set_persistent(bool on) = 0;
  /// The index of the device while it is in the daemon's network namespace, otherwise 0: with it the kernel gives the
  /// host frames by itself (datapath/fastpath).
  virtual void set_ifindex(int ifindex) = 0;
  /// Lets go of the device at once, whoever still uses the port, to which it looks as if the device were gone.
  virtual void detach() = 0;
};

/// Opens a device that exists, or creates one that is not persistent. Throws std::runtime_error whose what() is a
/// sentence: the name belongs to another kind of device or is invalid, another program has the tap open, no
/// permission.
std::unique_ptr<TapPort> open_tap_port(const TapOptions& options);

/// Removes a tap that no program has open. Returns nothing, or a sentence if it cannot be removed.
std::optional<std::string> remove_tap(const std::string& name);

}  // namespace vswitch
