// SPDX-License-Identifier: Apache-2.0
// One interface and its device, or the reason why it has none. A state machine with the states of
// AttachmentState; what a state needs is in its struct, and nowhere else.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "datapath/port/port.h"
#include "datapath/port/tap_port.h"
#include "datapath/tunnel/tunnel_endpoint.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/link.h"

namespace vswitch::bridge {

/// The alternatives of Attachment::State, in their order.
///
///     waiting -> opening -> open          a network device: a thread opens it
///     waiting -> open                     a tap or a tunnel: opened on the spot
///     waiting -> linked                   a patch
///     waiting, opening -> failed          the kernel, or the host as it is now, refuses it
///     waiting -> refused                  there is nothing to open
///     open -> waiting                     retired: its device is gone, replaced or not wanted
///     linked, failed, refused -> waiting  another try
enum class AttachmentState : std::uint8_t {
  /// No device yet, or no longer; the next reconcile() tries. Every other state except `opening` returns to
  /// this one.
  waiting,
  /// A thread opens the device; nothing else touches its future until the thread is done. The interface keeps
  /// its type, and the host's stack is kept off the device. Only finish_opening() leaves the state.
  opening,
  /// There is a device: the datapath may use it, and MTU and MAC may be set. Only retire() leaves the state;
  /// it keeps the device for workers and queued copies that still use it.
  open,
  /// A patch: carries frames without a device.
  linked,
  /// Opening failed for a reason that may be temporary: wants_retry() is true, and the next walk tries again.
  /// A further call of the same walk does not, if a thread has tried already.
  failed,
  /// Nothing to open: the row asks for something impossible, or the device does not exist or is not an
  /// Ethernet device. Every walk tries again, and a change of the row or of the host starts a walk.
  refused,
};

const char* name(AttachmentState state);

struct Waiting {};

struct Opening {
  std::future<std::unique_ptr<Port>> device;  ///< throws the reason if there is none
  int ifindex = 0;
  std::uint64_t generation = 0;  ///< Link::generation of the device
  std::string earlier_error;     ///< from the state before the attempt, so that no error is logged twice
};

struct Open {
  std::shared_ptr<Port> device;  ///< never null
  // Of a network device:
  int ifindex = 0;
  std::uint64_t generation = 0;
  std::uint64_t resets = 0;  ///< carrier changes at the last look
  // Of a tunnel port:
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint = {};  ///< the endpoint that its device sends to
  std::vector<IpAddress> not_to = {};                     ///< DesiredInterface::not_to of its device
  // Of an internal port (internal_devices.h):
  TapPort* tap = nullptr;                       ///< `device`
  bool is_new = false;                          ///< the device did not exist when it was opened
  bool made = false;                            ///< a switch made the device: it goes with its row
  std::optional<netlink::Link> elsewhere = {};  ///< the device in another network namespace, at the last look
  std::optional<MacAddr> requested_mac = {};    ///< at the last look
  std::optional<std::uint32_t> followed_mtu = {};  ///< the MTU that it was given to follow the other ports
};

struct Linked {};

struct Failed {
  std::string error;        ///< a sentence
  std::uint64_t round = 0;  ///< round of Attachments in which a thread failed to open it; 0 = none
};

struct Refused {
  std::string error;  ///< a sentence
};

class Attachment {
 public:
  using State = std::variant<Waiting, Opening, Open, Linked, Failed, Refused>;

  // Kept across states.
  InterfaceType type = InterfaceType::system;
  std::string not_isolated;            ///< why the host's stack still sees the device
  std::string not_configured;          ///< why MTU or MAC are not as requested
  std::string egress;                  ///< what the host has put on the way out, which frames pass therefore
  std::uint64_t earlier_overruns = 0;  ///< of devices that this interface had before
  std::uint64_t earlier_resets = 0;    ///< carrier changes, likewise

  AttachmentState state() const { return static_cast<AttachmentState>(state_.index()); }
  bool is(AttachmentState state_asked_for) const { return state() == state_asked_for; }
  /// Throws std::logic_error for a change that AttachmentState does not list; the state is then unchanged.
  void become(State next);

  /// nullptr in any other state.
  Opening* opening() { return std::get_if<Opening>(&state_); }
  Open* open() { return std::get_if<Open>(&state_); }
  const Open* open() const { return std::get_if<Open>(&state_); }
  const Failed* failed() const { return std::get_if<Failed>(&state_); }

  // In any state:
  /// It carries frames.
  bool works() const { return is(AttachmentState::open) || is(AttachmentState::linked); }
  /// Why it is not a port, as a sentence; empty if it works, or if that is not known yet.
  const std::string& error() const;
  /// nullptr if there is none.
  std::shared_ptr<Port> device() const { return open() != nullptr ? open()->device : nullptr; }
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint() const {
    return open() != nullptr ? open()->endpoint : nullptr;
  }
  /// Frames lost because they arrived faster than they were received, over all devices of this interface.
  std::uint64_t overruns() const {
    return earlier_overruns + (open() != nullptr ? open()->device->receive_overruns() : 0);
  }

 private:
  State state_;
};

}  // namespace vswitch::bridge
