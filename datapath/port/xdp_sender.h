// SPDX-License-Identifier: Apache-2.0
// Sending by AF_XDP (the kernel's Documentation/networking/af_xdp.rst) in copy mode, without a program on the
// device: frames are written into memory that the kernel reads, and one system call sends 64. A small frame
// costs the kernel a quarter less than by sendmmsg(2) on a packet socket (docs/benchmarks.md). From
// Linux 6.17 on: before, the kernel does not tell in time which frames it has taken.
//
// It is for finished frames: without a program nothing can be said of checksums or segments that are left to
// do. They leave past the queueing discipline, as with PACKET_QDISC_BYPASS, and past the egress hook of
// nftables too. README.md of this room says more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>

#include "datapath/base/thread_annotations.h"
#include "datapath/frame/frame.h"

namespace vswitch {

class XdpSocket;

/// What a port's senders share: a device's queue takes one such socket. It is opened by a thread when the
/// port turns out to be a busy one, and only on veth devices with one queue.
class XdpSender {
 public:
  static constexpr std::size_t kMinBatch = 8;  ///< frames of a batch worth it

  explicit XdpSender(int ifindex);
  ~XdpSender();

  /// Sends the first of the frames, in order, sets their outcomes as Port::send() does, and returns how many
  /// they are: none when they are few, unfinished or too long, while another thread is sending, or where the
  /// kernel, the device or its other users do not let it. The others are for the caller to send.
  /// `socket`: one that answers netdevice(7) ioctls. Any thread.
  std::size_t send(std::span<OutgoingFrame> frames, int socket);

  /// Bytes of locked memory. Any thread.
  std::size_t memory() const { return memory_; }

 private:
  void ask_for_socket() REQUIRES(in_use_);
  void close() REQUIRES(in_use_);

  const int ifindex_;
  Mutex in_use_;
  std::unique_ptr<XdpSocket> xdp_ GUARDED_BY(in_use_);
  std::future<std::optional<std::unique_ptr<XdpSocket>>> opening_ GUARDED_BY(in_use_);
  std::future<void> closing_ GUARDED_BY(in_use_);
  std::uint32_t batches_before_opening_ GUARDED_BY(in_use_);
  bool suits_ GUARDED_BY(in_use_) = true;  ///< the kernel and the device are of the kind, as far as is known
  std::atomic<std::size_t> memory_{0};
};

}  // namespace vswitch
