// SPDX-License-Identifier: Apache-2.0
// One interface and what stands for it: a device, or the reason why there is none. A state machine that hangs
// on AttachmentState; what a state needs is in its struct, and nowhere else.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "datapath/port/port.h"
#include "datapath/tunnel/tunnel_endpoint.h"
#include "switchd/bridge/desired.h"

namespace vswitch::bridge {

/// The alternatives of Attachment::State, in their order.
///
///     waiting -> opening -> open          a network device: a thread opens it
///     waiting -> open                     a tap or a tunnel: opened on the spot
///     waiting -> linked                   a patch
///     waiting, opening -> failed          the kernel, or the host as it is now, refuses it
///     waiting -> refused                  there is nothing to open
///     open -> waiting                     retired: its device is gone, another one, or not asked for
///     linked, failed, refused -> waiting  another try
enum class AttachmentState : std::uint8_t {
  /// There is nothing yet, or nothing any more; the next reconcile() tries. Every other state but `opening`
  /// comes back to it.
  waiting,
  /// A thread opens the device; nobody else touches its future until the thread is done. The interface keeps
  /// its type, and the host's stack is kept off the device. Only finish_opening() leaves the state.
  opening,
  /// There is a device: the datapath may use it, MTU and MAC may be set. Left by retire() alone, which keeps
  /// the device for workers and queued copies that still use it.
  open,
  /// A patch: carries frames without a device.
  linked,
  /// Opening failed for a reason that may pass by itself: wants_retry() is true, and the next walk tries
  /// again;
  /// another call of the same walk does not if a thread has tried.
  failed,
  /// Nothing to open: the row asks for what cannot be, or the device is not there or is no Ethernet device.
  /// Tried again by every walk, and a change of the row or of the host starts one.
  refused,
};

const char* name(AttachmentState state);

struct Waiting {};

struct Opening {
  std::future<std::unique_ptr<Port>> device;  ///< throws why there is none
  int ifindex = 0;
  std::uint64_t generation = 0;  ///< Link::generation of the device
  std::string earlier_error;     ///< of the state before it was tried, so that none is logged twice
};

struct Open {
  std::shared_ptr<Port> device;  ///< never null
  // Of a network device:
  int ifindex = 0;
  std::uint64_t generation = 0;
  std::uint64_t resets = 0;  ///< changes of its carrier, when it was last looked at
  // Of a tunnel port:
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint = {};  ///< the one its device sends to
  std::vector<IpAddress> not_to = {};                     ///< DesiredInterface::not_to of its device
};

struct Linked {};

struct Failed {
  std::string error;        ///< a sentence
  std::uint64_t round = 0;  ///< of Attachments, in which a thread failed to open it; 0 = none did
};

struct Refused {
  std::string error;  ///< a sentence
};

class Attachment {
 public:
  using State = std::variant<Waiting, Opening, Open, Linked, Failed, Refused>;

  // What outlives its states.
  InterfaceType type = InterfaceType::system;
  std::string not_isolated;            ///< why the host's stack still sees the device
  std::string not_configured;          ///< why MTU or MAC are not what was asked for
  std::uint64_t earlier_overruns = 0;  ///< of devices this interface had before
  std::uint64_t earlier_resets = 0;    ///< changes of the carrier, likewise

  AttachmentState state() const { return static_cast<AttachmentState>(state_.index()); }
  bool is(AttachmentState state_asked_for) const { return state() == state_asked_for; }
  /// Throws std::logic_error for a change that AttachmentState does not list: the state stays what it is.
  void become(State next);

  /// nullptr in another state.
  Opening* opening() { return std::get_if<Opening>(&state_); }
  Open* open() { return std::get_if<Open>(&state_); }
  const Open* open() const { return std::get_if<Open>(&state_); }
  const Failed* failed() const { return std::get_if<Failed>(&state_); }

  // In any state:
  /// It carries frames.
  bool works() const { return is(AttachmentState::open) || is(AttachmentState::linked); }
  /// Why it is no port, as a sentence; empty if it works, and before that is known.
  const std::string& error() const;
  /// nullptr while there is none.
  std::shared_ptr<Port> device() const { return open() != nullptr ? open()->device : nullptr; }
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint() const {
    return open() != nullptr ? open()->endpoint : nullptr;
  }
  /// Frames that came faster than they were taken, of all devices this interface had.
  std::uint64_t overruns() const {
    return earlier_overruns + (open() != nullptr ? open()->device->receive_overruns() : 0);
  }

 private:
  State state_;
};

}  // namespace vswitch::bridge
