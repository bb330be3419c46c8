// SPDX-License-Identifier: Apache-2.0
// AF_PACKET ports: a TPACKET_V2 ring with a side queue for long frames (af_packet_ring, af_packet_receive),
// and one sending socket per sender (af_packet_send).
#include "datapath/port/af_packet_port.h"

#include <sys/socket.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "datapath/base/background.h"
#include "datapath/base/steady_clock.h"
#include "datapath/base/unique_fd.h"
#include "datapath/port/af_packet_receive.h"
#include "datapath/port/af_packet_send.h"
#include "datapath/port/device_query.h"
#include "datapath/port/xdp_sender.h"

namespace vswitch {
namespace {

/// Counts the ports that are being closed.
class Closing {
 public:
  Closing() : before_(number_.fetch_add(1, std::memory_order_relaxed)) {}
  ~Closing() { number_.fetch_sub(1, std::memory_order_relaxed); }
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
  bool few() const { return before_ < 16; }

 private:
  static inline std::atomic<int> number_{0};
  const int before_;
};

class AfPacketPort final : public Port {
 public:
  explicit AfPacketPort(const AfPacketOptions& options)
      : kernel_device_(kernel_device_of(options)), receiver_(options), xdp_(options.ifindex) {
    for (std::size_t i = 0; i < options.senders; ++i) {
      const bool sends_copies = i + options.mirror_senders >= options.senders;
      const bool by_xdp = sends_copies ? options.xdp_copies : options.xdp_transmit;
      senders_.push_back(
          std::make_unique<af_packet::Sender>(options, !sends_copies, by_xdp ? &xdp_ : nullptr, sending_));
    }
  }

  /// Closing a packet socket waits until all processors have released it, however many are closed at the same time. For
  /// many ports, a thread for each socket would cost more than that saves.
  ~AfPacketPort() override {
    counted_.emplace();
    for (auto& sender : senders_) {
      if (counted_->few())
        closing_.push_back(in_background([closed = std::move(sender)]() mutable { closed.reset(); }));
    }
  }
  AfPacketPort(const AfPacketPort&) = delete;
  AfPacketPort& operator=(const AfPacketPort&) = delete;

  int receive_fd() const override { return receiver_.fd(); }
  std::size_t receive(std::span<RawFrame> into) override { return receiver_.receive(into); }
  void release() override { receiver_.release(); }
  void send(SenderId sender, std::span<OutgoingFrame> frames) override {
    senders_[index(sender)]->send(frames);
  }
  void send_copies(SenderId sender, std::span<OutgoingFrame> frames) override {
    senders_[index(sender)]->send_copies(frames);
  }
  void use_ordinary_path(bool ordinary) override {
    sending_.ordinary.store(ordinary, std::memory_order_relaxed);
  }
  void set_link(bool up) override {
    if (up || sending_.down_since.load(std::memory_order_relaxed) == 0)
      sending_.down_since.store(up ? 0 : steady_now(), std::memory_order_relaxed);
  }
  std::uint64_t receive_overruns() override { return receiver_.overruns(); }
  std::size_t receive_memory() override { return receiver_.memory(); }
  std::size_t send_memory() override { return xdp_.memory(); }
  bool is_drained() const override { return receiver_.is_drained(); }
  std::size_t most_waiting() const override { return receiver_.most_waiting(); }
  /// What the host has put on the device may drop a frame later.
  KernelDevice kernel_device() const override {
    KernelDevice device = kernel_device_;
    if (sending_.ordinary.load(std::memory_order_relaxed)) device.takes_frames = device.takes_copies = false;
    return device;
  }

 private:
  /// A veth passes a frame on, or refuses it, within the call.
  static KernelDevice kernel_device_of(const AfPacketOptions& options) {
    if (options.filter < 0) return {};
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return {.ifindex = options.ifindex,
            .is_filtered = true,
            .takes_frames = true,
            .takes_copies = driver_of(socket.get(), options.ifindex) == "veth"};
  }

  // First, so that they are there until the last socket is closed:
  std::optional<Closing> counted_;
  std::vector<std::future<void>> closing_;
  const KernelDevice kernel_device_;
  af_packet::Receiver receiver_;
  XdpSender xdp_;
  af_packet::Conditions sending_;  // of all senders
  std::vector<std::unique_ptr<af_packet::Sender>> senders_;
};

}  // namespace

std::unique_ptr<Port> open_af_packet_port(const AfPacketOptions& options) {
  return std::make_unique<AfPacketPort>(options);
}

}  // namespace vswitch
