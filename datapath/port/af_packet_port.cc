// SPDX-License-Identifier: Apache-2.0
// AF_PACKET ports: a TPACKET_V2 ring with a side queue for long frames (af_packet_ring, af_packet_receive),
// and one sending socket per sender (af_packet_send).
#include "datapath/port/af_packet_port.h"

#include <atomic>
#include <vector>

#include "datapath/port/af_packet_receive.h"
#include "datapath/port/af_packet_send.h"
#include "datapath/port/xdp_sender.h"

namespace vswitch {
namespace {

class AfPacketPort final : public Port {
 public:
  explicit AfPacketPort(const AfPacketOptions& options) : receiver_(options), xdp_(options.ifindex) {
    for (std::size_t i = 0; i < options.senders; ++i) {
      const bool sends_copies = i + options.mirror_senders >= options.senders;
      const bool by_xdp = sends_copies ? options.xdp_copies : options.xdp_transmit;
      senders_.push_back(
          std::make_unique<af_packet::Sender>(options, !sends_copies, by_xdp ? &xdp_ : nullptr, ordinary_));
    }
  }

  int receive_fd() const override { return receiver_.fd(); }
  std::size_t receive(std::span<RawFrame> into) override { return receiver_.receive(into); }
  void release() override { receiver_.release(); }
  void send(SenderId sender, std::span<OutgoingFrame> frames) override {
    senders_[index(sender)]->send(frames);
  }
  void use_ordinary_path(bool ordinary) override { ordinary_.store(ordinary, std::memory_order_relaxed); }
  std::uint64_t receive_overruns() override { return receiver_.overruns(); }
  std::size_t receive_memory() override { return receiver_.memory(); }
  std::size_t send_memory() override { return xdp_.memory(); }

 private:
  af_packet::Receiver receiver_;
  XdpSender xdp_;
  std::atomic<bool> ordinary_ = false;  // read by the senders
  std::vector<std::unique_ptr<af_packet::Sender>> senders_;
};

}  // namespace

std::unique_ptr<Port> open_af_packet_port(const AfPacketOptions& options) {
  return std::make_unique<AfPacketPort>(options);
}

}  // namespace vswitch
