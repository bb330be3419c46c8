// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/copy_queue.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "datapath/base/unique_fd.h"
#include "datapath/engine/datapath.h"
#include "datapath/engine/mirror_thread.h"
#include "datapath/port/memory_port.h"

namespace vswitch {
namespace {

struct Payload {
  explicit Payload(std::size_t size, std::uint8_t first) : bytes(size) {
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
    frame.payload = bytes;
    frame.src = MacAddr::from_u64(0x0200000000 + first);
    frame.offload = {.gso_type = 1, .gso_size = 1400};
  }
  std::vector<std::uint8_t> bytes;
  Frame frame;
};

CopyTarget target(std::uint32_t destination) {
  return {nullptr, nullptr, destination, {}};
}

TEST(CopyQueue, GivesBackWhatWasPutIn) {
  CopyQueue queue(1 << 16);
  const Payload payload(1500, 7);
  const CopyTarget targets[] = {target(4), target(9)};
  ASSERT_TRUE(queue.push(payload.frame, 5, targets));
  const auto record = queue.take();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->src, payload.frame.src);
  EXPECT_EQ(record->offload, payload.frame.offload);
  ASSERT_EQ(record->targets.size(), 2U);
  EXPECT_EQ(record->targets[1].destination, 9U);
  EXPECT_EQ(std::vector<std::uint8_t>(record->payload.begin(), record->payload.end()), payload.bytes);
  EXPECT_FALSE(queue.take());
  EXPECT_GT(queue.used(), 0U);
  queue.release();
  EXPECT_EQ(queue.used(), 0U);
}

TEST(CopyQueue, RefusesWhenFullAndTakesAgainWhenReleased) {
  CopyQueue queue(4096);
  const Payload payload(900, 1);
  const CopyTarget targets[] = {target(1)};
  int pushed = 0;
  while (queue.push(payload.frame, 5, targets)) ++pushed;
  EXPECT_EQ(pushed, 4);
  ASSERT_TRUE(queue.take());
  EXPECT_FALSE(queue.push(payload.frame, 5, targets)) << "taken but not released";
  queue.release();
  EXPECT_TRUE(queue.push(payload.frame, 5, targets));
  EXPECT_LE(queue.used(), queue.capacity());
}

TEST(CopyQueue, SaysWhenTheNextFrameWasReceived) {
  CopyQueue queue(4096);
  EXPECT_EQ(queue.next_received(), std::nullopt);
  const Payload payload(900, 1);
  const CopyTarget targets[] = {target(1)};
  for (TimeNs received = 11; received < 41;
       ++received) {  // round the ring several times, padding passed over
    ASSERT_TRUE(queue.push(payload.frame, received, targets));
    EXPECT_EQ(queue.next_received(), received);
    EXPECT_EQ(queue.take()->received, received);
    queue.release();
  }
}

/// A mirror thread that is stepped by hand, with two workers' queues and one destination.
class MirrorOrder : public ::testing::Test {
 protected:
  MirrorOrder() {
    port.number = PortNo{0};
    port.device = device;
    port.counters = std::make_shared<PortCounters>(3);
    session.destinations.push_back({.port = PortNo{0}, .counters = std::make_shared<DestinationCounters>(3)});
    session.queued_bytes = std::make_shared<QueuedBytes>(2);
  }

  /// Times are in the future, so that patience has no end.
  void push(CopyQueue& queue, std::uint8_t number, TimeNs received) {
    const CopyTarget targets[] = {{&session, &port, 0, {}}};
    ASSERT_TRUE(queue.push(Payload(20, number).frame, soon + received, targets));
  }
  std::vector<int> sent() {
    std::vector<int> numbers;
    for (const MemoryFrame& frame : device->take_sent()) numbers.push_back(frame.bytes[12]);
    return numbers;
  }
  void finish() {
    while (thread.step()) {
    }
  }

  const TimeNs soon = steady_now() + 3600 * kSecondNs;
  CopyQueue first{1 << 16, 0};
  CopyQueue second{1 << 16, 1};
  std::shared_ptr<MemoryPort> device = std::make_shared<MemoryPort>();
  PortConfig port;
  CompiledSession session;
  const Snapshot snapshot;
  const std::atomic<const Snapshot*> published{&snapshot};
  MirrorThread thread{SenderId{2}, published, {&first, &second}, nullptr};
};

TEST_F(MirrorOrder, IsThatOfReceptionWhateverTheWorker) {
  push(second, 2, 200);
  push(first, 1, 100);
  push(first, 3, 300);
  push(second, 4, 400);
  finish();
  EXPECT_EQ(sent(), (std::vector<int>{1, 2, 3, 4}));

  first.begin(soon + 500);  // a batch that began at 500 and has not queued its copies yet
  push(second, 6, 600);
  EXPECT_TRUE(thread.step()) << "there is something left to do";
  EXPECT_EQ(sent(), std::vector<int>{});
  push(first, 5, 510);
  first.end();
  finish();
  EXPECT_EQ(sent(), (std::vector<int>{5, 6}));
  first.begin(soon + 800);
  push(second, 7, 700);
  finish();
  EXPECT_EQ(sent(), std::vector<int>{7}) << "older than anything the other worker may still bring";
}

TEST_F(MirrorOrder, AWorkerThatHasNotReadItsPortsIsWaitedFor) {
  const UniqueFd ports(eventfd(1, EFD_NONBLOCK));
  first.watch(ports.get());
  push(second, 2, 200);
  EXPECT_TRUE(thread.step());
  EXPECT_EQ(sent(), std::vector<int>{});
  push(first, 1, 100);
  EXPECT_TRUE(thread.step());
  EXPECT_EQ(sent(), std::vector<int>{1}) << "others may wait there that came before 200";
  first.set_handled(soon + 200);
  finish();
  EXPECT_EQ(sent(), std::vector<int>{2});

  std::uint64_t count;
  ASSERT_EQ(read(ports.get(), &count, sizeof count), 8);
  first.set_behind(true);  // nothing waits at its ports, but it has not handled all that it took
  push(second, 3, 300);
  EXPECT_TRUE(thread.step());
  EXPECT_EQ(sent(), std::vector<int>{});
  first.set_behind(false);
  finish();
  EXPECT_EQ(sent(), std::vector<int>{3});
}

TEST_F(MirrorOrder, NobodyIsWaitedForForLong) {
  const UniqueFd ports(eventfd(1, EFD_NONBLOCK));
  first.watch(ports.get());
  push(second, 1, steady_now() - kSecondNs - soon);
  finish();
  EXPECT_EQ(sent(), std::vector<int>{1});
}

TEST(CopyQueue, RefusesWhatCanNeverFit) {
  CopyQueue queue(4096);
  const Payload payload(5000, 1);
  const CopyTarget targets[] = {target(1)};
  EXPECT_FALSE(queue.push(payload.frame, 5, targets));
  const Payload small(10, 1);
  EXPECT_TRUE(queue.push(small.frame, 5, targets));
}

TEST(CopyQueue, KeepsOrderAndBytesBetweenTwoThreads) {
  CopyQueue queue(1 << 14);
  constexpr std::uint32_t kFrames = 20000;
  std::thread writer([&queue] {
    std::minstd_rand random(3);
    for (std::uint32_t n = 0; n < kFrames; ++n) {
      const Payload payload(2 + random() % 3000, static_cast<std::uint8_t>(n));
      const std::vector<CopyTarget> targets(1 + random() % 3, target(n));
      while (!queue.push(payload.frame, 5, targets)) std::this_thread::yield();
    }
  });
  std::uint32_t bad = 0;
  for (std::uint32_t n = 0; n < kFrames;) {
    const auto record = queue.take();
    if (!record) {
      queue.release();
      std::this_thread::yield();
      continue;
    }
    for (std::size_t i = 0; i < record->payload.size(); ++i)
      bad += record->payload[i] != static_cast<std::uint8_t>(n + i);
    for (const CopyTarget& each : record->targets) bad += each.destination != n;
    if (++n % 5 == 0) queue.release();
  }
  writer.join();
  EXPECT_EQ(bad, 0U);
}

}  // namespace
}  // namespace vswitch
