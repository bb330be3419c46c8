// SPDX-License-Identifier: Apache-2.0
// Sending by AF_XDP (the kernel's Documentation/networking/af_xdp.rst) in copy mode, without a program on the
// device: frames are written into memory that the kernel reads, and one system call sends 64. A small frame
// costs the kernel a quarter less than by sendmmsg(2) on a packet socket (docs/benchmarks.md). From Linux
// 6.17 on: earlier kernels report too late which frames they have accepted.
//
// It is for finished frames: without a program, unfinished checksums and GSO packets cannot be expressed. The
// frames bypass the queueing discipline, as with PACKET_QDISC_BYPASS, and also the egress hook of nftables.
// README.md in this folder has the details.
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

/// Shared by the senders of a port, because a device's queue has room for only one such socket. A background
/// thread opens it when the port is busy, and only on veth devices with one queue.
class XdpSender {
 public:
  static constexpr std::size_t kMinBatch = 8;  ///< smallest batch worth it

  explicit XdpSender(int ifindex);
  ~XdpSender();

  /// Sends the first of the frames, in order, sets their outcomes as Port::send() does, and returns how many
  /// it sent; the caller sends the rest. Sends none if they are few, unfinished or too long, while another
  /// thread is sending, or if the kernel, the device or another user of the device prevents it. `socket`: any
  /// socket that answers netdevice(7) ioctls. Any thread.
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
  bool suits_ GUARDED_BY(in_use_) = true;  ///< the kernel and the device support it, as far as known
  std::atomic<std::size_t> memory_{0};
};

}  // namespace vswitch
