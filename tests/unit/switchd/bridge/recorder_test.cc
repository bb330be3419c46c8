// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/recorder.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "datapath/mirror/copy_shape.h"
#include "schemas/capture_record.h"
#include "switchd/bridge/recorders.h"

namespace vswitch::bridge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::size_t kMB = 1'000'000;
TimeNs now = 0;
TimeNs fake_clock() {
  return now;
}

struct Got {
  CaptureRecord record;
  std::string port, bytes;
};

std::vector<Got> parse(const std::vector<std::byte>& text) {
  std::vector<Got> all;
  for (std::size_t at = 0; at < text.size();) {
    Got one;
    std::memcpy(&one.record, text.data() + at, sizeof one.record);
    const char* rest = reinterpret_cast<const char*>(text.data()) + at + sizeof one.record;
    one.port.assign(rest, one.record.name_length);
    one.bytes.assign(rest + one.record.name_length, one.record.captured);
    at += sizeof one.record + one.port.size() + one.bytes.size();
    all.push_back(std::move(one));
  }
  return all;
}

/// A frame of `length` bytes that begins with its number; its header and payload are in different places.
void add(Recorder& recorder, std::uint32_t number, std::size_t length = 100, const std::string& port = "t1",
         std::uint32_t snaplen = kWholeFrame, bool delivered = false) {
  std::vector<std::uint8_t> bytes(length, static_cast<std::uint8_t>(number));
  std::memcpy(bytes.data(), &number, sizeof number);
  const std::span<const std::uint8_t> all(bytes);
  OutgoingFrame frame{.header = all.first(14), .payload = all.subspan(14), .offload = {}};
  frame.outcome = DropReason::queue_full;
  const CapturedFrame captured{.frame = &frame,
                               .snaplen = snaplen,
                               .unix_time_ns = 1'000'000'000'000 + number,
                               .port = port,
                               .delivered = delivered};
  recorder.send({&captured, 1});
  EXPECT_EQ(frame.outcome, DropReason::none);
}

std::uint32_t number_of(const Got& got) {
  std::uint32_t number = 0;
  std::memcpy(&number, got.bytes.data(), sizeof number);
  return number;
}

std::vector<std::byte> read_all(Recorder& recorder, Recorder::Dump& dump) {
  std::vector<std::byte> all;
  for (std::vector<std::byte> message;; message.clear()) {
    const bool more = recorder.read(dump, kCaptureMessageBytes, message);
    EXPECT_LE(message.size(), kCaptureMessageBytes);
    all.insert(all.end(), message.begin(), message.end());
    if (!more) return all;
    EXPECT_FALSE(message.empty()) << "it makes progress";
  }
}

std::vector<std::uint32_t> numbers(Recorder& recorder, bool clear = false) {
  Recorder::Dump dump = recorder.begin_dump();
  std::vector<std::uint32_t> found;
  for (const Got& got : parse(read_all(recorder, dump))) found.push_back(number_of(got));
  EXPECT_EQ(found.size(), dump.held.frames);
  recorder.end_dump(dump, clear);
  return found;
}

TEST(RecorderRing, KeepsFramesAsAClientGetsThem) {
  Recorder recorder({kMB, 0}, fake_clock);
  add(recorder, 7, 60, "t1");
  add(recorder, 8, 1000, "veth-long-name", 64, true);
  Recorder::Dump dump = recorder.begin_dump();
  const std::vector<Got> got = parse(read_all(recorder, dump));
  recorder.end_dump(dump, false);
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].port, "t1");
  EXPECT_EQ(got[0].bytes, std::string("\7\0\0\0", 4) + std::string(56, '\7'));
  EXPECT_EQ(got[0].record.direction, CaptureRecord::kFromPort);
  EXPECT_EQ(got[0].record.unix_time_ns, 1'000'000'000'007);
  EXPECT_EQ(got[1].port, "veth-long-name");
  EXPECT_EQ(got[1].record.captured, 64U);
  EXPECT_EQ(got[1].record.length, 1000U);
  EXPECT_EQ(got[1].record.direction, CaptureRecord::kToPort);
  const Recording held = recorder.state();
  EXPECT_EQ(held.frames, 2U);
  EXPECT_EQ(held.bytes, 124U);
  EXPECT_EQ(held.oldest, 1'000'000'000'007);
  EXPECT_EQ(held.newest, 1'000'000'000'008);
  EXPECT_LE(held.capacity, kMB);
}

TEST(RecorderRing, ForgetsTheOldestWhenItIsFull) {
  Recorder recorder({kMB, 0}, fake_clock);
  constexpr std::uint32_t kFrames = 30'000;  // 4 MB, so several times around
  for (std::uint32_t n = 0; n < kFrames; ++n) {
    add(recorder, n, 60 + n % 90);
    if (n % 1000 != 0) continue;
    const Recording held = recorder.state();
    EXPECT_EQ(held.frames + held.evicted, n + 1);
  }
  const std::vector<std::uint32_t> left = numbers(recorder);
  ASSERT_GT(left.size(), 6000U);
  for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i], kFrames - left.size() + i);
  const Recording held = recorder.state();
  EXPECT_EQ(held.frames, left.size());
  EXPECT_EQ(held.evicted, kFrames - left.size());
  EXPECT_EQ(held.oldest, 1'000'000'000'000 + left.front());
  // Except for the segment that is filled and the ends of the others, all of the memory has frames.
  EXPECT_GT(held.bytes + held.frames * 42, held.capacity - 2 * Recorder::kSegmentBytes);
}

TEST(RecorderRing, TruncatesAFrameThatNoMessageHasRoomFor) {
  Recorder recorder({kMB, 0}, fake_clock);
  for (std::uint32_t n = 0; n < 100; ++n) add(recorder, n, n % 3 == 0 ? 65'549 : 1514);
  Recorder::Dump dump = recorder.begin_dump();
  const std::vector<Got> got = parse(read_all(recorder, dump));
  recorder.end_dump(dump, false);
  ASSERT_EQ(got.size(), dump.held.frames);
  ASSERT_GT(got.size(), 30U);
  for (const Got& one : got) {
    const bool is_long = number_of(one) % 3 == 0;
    EXPECT_EQ(one.record.length, is_long ? 65'549U : 1514U);
    EXPECT_EQ(one.record.captured, is_long ? kCaptureMessageBytes - sizeof(CaptureRecord) - 2 : 1514U);
  }
}

TEST(RecorderRing, ForgetsWhatIsTooOld) {
  now = 1000 * kSecondNs;
  Recorder recorder({kMB, 10 * kSecondNs}, fake_clock);
  for (std::uint32_t n = 0; n < 2000; ++n) {  // four segments
    add(recorder, n);
    now += kSecondNs / 100;
  }
  const std::vector<std::uint32_t> left = numbers(recorder);
  ASSERT_EQ(left.size(), 1000U) << "of 20 s the last 10";
  EXPECT_EQ(left.front(), 1000U);
  EXPECT_EQ(recorder.state().evicted, 1000U);
  now += 9 * kSecondNs;
  EXPECT_EQ(numbers(recorder).size(), 100U) << "although no frame came";
  recorder.set_age(20 * kSecondNs);
  now += 2 * kSecondNs;
  EXPECT_EQ(recorder.state().frames, 100U);
  recorder.set_age(kSecondNs);
  const Recording held = recorder.state();
  EXPECT_EQ(held.frames, 0U);
  EXPECT_EQ(held.bytes, 0U);
  EXPECT_EQ(held.evicted, 2000U);
  EXPECT_EQ(held.oldest, std::nullopt);
  add(recorder, 3000);
  EXPECT_THAT(numbers(recorder), ElementsAre(3000U));
}

TEST(RecorderRing, NoFrameBecomesTooOldWhileItIsWritten) {
  now = 1000 * kSecondNs;
  Recorder recorder({kMB, 10 * kSecondNs}, fake_clock);
  add(recorder, 1);
  Recorder::Dump dump = recorder.begin_dump();
  now += 60 * kSecondNs;
  add(recorder, 2);
  EXPECT_THAT(parse(read_all(recorder, dump)), SizeIs(1)) << "frame 2 came later";
  recorder.end_dump(dump, false);
  EXPECT_THAT(numbers(recorder), ElementsAre(2U));
}

TEST(RecorderRing, ADumpThatIsOvertakenGoesOnWithTheOldest) {
  Recorder recorder({kMB, 0}, fake_clock);
  for (std::uint32_t n = 0; n < 5000; ++n) add(recorder, n);
  Recorder::Dump dump = recorder.begin_dump();
  std::vector<std::byte> first;
  EXPECT_TRUE(recorder.read(dump, 10'000, first));
  const std::size_t before = parse(first).size();
  for (std::uint32_t n = 5000; n < 10'000; ++n) add(recorder, n);
  const std::vector<Got> rest = parse(read_all(recorder, dump));
  ASSERT_FALSE(rest.empty());
  EXPECT_LT(before + rest.size(), dump.held.frames) << "some were overwritten";
  for (std::size_t i = 0; i < rest.size(); ++i)
    EXPECT_EQ(number_of(rest[i]), 5000 - rest.size() + i) << "without a gap, and none that came later";
  recorder.end_dump(dump, true);
  EXPECT_EQ(numbers(recorder).front(), 5000U);
}

TEST(RecorderRing, ForgetsWhatWasDumped) {
  Recorder recorder({kMB, 0}, fake_clock);
  for (std::uint32_t n = 0; n < 3000; ++n) add(recorder, n);
  Recorder::Dump dump = recorder.begin_dump();
  read_all(recorder, dump);
  for (std::uint32_t n = 3000; n < 3010; ++n) add(recorder, n);
  recorder.end_dump(dump, true);
  const Recording held = recorder.state();
  EXPECT_EQ(held.frames, 10U);
  EXPECT_EQ(held.evicted, 0U) << "they are in the dump";
  EXPECT_EQ(held.oldest, 1'000'000'003'000);
  EXPECT_THAT(numbers(recorder, true), SizeIs(10));
  EXPECT_EQ(recorder.state().frames, 0U);
  EXPECT_EQ(recorder.state().oldest, std::nullopt);
  EXPECT_THAT(numbers(recorder), SizeIs(0));
}

/// The property: what was recorded is held or evicted, and a dump has whole frames in their order.
TEST(RecorderRing, ManyWriteWhileOthersRead) {
  Recorder recorder({2 * kMB, 0});
  constexpr std::uint32_t kEach = 20'000;
  std::atomic<int> writing = 2;
  std::vector<std::thread> writers;
  for (std::uint32_t w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      for (std::uint32_t n = 0; n < kEach; ++n) add(recorder, w * kEach + n, 64 + n % 1400);
      --writing;
    });
  }
  while (writing != 0) {
    Recorder::Dump dump = recorder.begin_dump();
    std::array<std::uint32_t, 2> last{};
    std::uint64_t read = 0;
    for (const Got& got : parse(read_all(recorder, dump))) {
      const std::uint32_t number = number_of(got), w = number / kEach;
      ASSERT_LT(w, 2U);
      ASSERT_EQ(got.record.length, 64 + number % kEach % 1400);
      ASSERT_EQ(got.bytes.back(), static_cast<char>(number));
      ASSERT_LT(last[w], number + 1) << "in order";
      last[w] = number + 1;
      ++read;
    }
    ASSERT_LE(read, dump.held.frames);
    recorder.end_dump(dump, false);
  }
  for (std::thread& writer : writers) writer.join();
  const Recording held = recorder.state();
  EXPECT_EQ(held.frames + held.evicted, 2ULL * kEach);
  EXPECT_EQ(numbers(recorder).size(), held.frames);
}

// ---- all of them

struct Pair {
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0); }
  ~Pair() { ::close(ends[0]); }
  UniqueFd theirs() { return UniqueFd(ends[1]); }
  /// Until the daemon's end is closed for writing, while its loop turns.
  std::vector<std::byte> read(boost::asio::io_context& io) {
    std::vector<std::byte> all, message(2 * kCaptureMessageBytes);
    for (int idle = 0; idle < 1000;) {
      io.restart();
      io.poll();
      const ssize_t got = ::recv(ends[0], message.data(), message.size(), MSG_DONTWAIT);
      if (got == 0) return all;
      if (got < 0) {
        ++idle;
        continue;
      }
      all.insert(all.end(), message.begin(), message.begin() + got);
    }
    ADD_FAILURE() << "the dump does not end";
    return all;
  }
  std::array<int, 2> ends{-1, -1};
};

class RecordersOfSessions : public testing::Test {
 protected:
  static ovsdb::Uuid uuid(int n) {
    return *ovsdb::Uuid::parse("00000000-0000-0000-0000-00000000000" + std::to_string(n));
  }
  boost::asio::io_context io;
  Recorders recorders{io, 10 * kMB};
};

TEST_F(RecordersOfSessions, KeepTheirFramesUnlessTheirSizeChanges) {
  recorders.reconcile({{uuid(1), {2 * kMB, 0}}, {uuid(2), {3 * kMB, 0}}});
  const auto one = recorders.find(uuid(1));
  add(*one, 1);
  recorders.reconcile({{uuid(1), {2 * kMB, 60 * kSecondNs}}, {uuid(2), {4 * kMB, 0}}});
  EXPECT_EQ(recorders.find(uuid(1)), one) << "the age is no other ring";
  EXPECT_EQ(one->state().frames, 1U);
  EXPECT_EQ(one->state().age, 60 * kSecondNs);
  EXPECT_LE(recorders.find(uuid(2))->state().capacity, 4 * kMB);
  recorders.reconcile({{uuid(1), {kMB, 0}}});
  EXPECT_NE(recorders.find(uuid(1)), one);
  EXPECT_EQ(recorders.find(uuid(1))->state().frames, 0U);
  EXPECT_EQ(recorders.find(uuid(2)), nullptr) << "it is freed";
}

TEST_F(RecordersOfSessions, HaveAllTogetherNoMoreThanTheLimit) {
  recorders.reconcile({{uuid(1), {6 * kMB, 0}}, {uuid(2), {2 * kMB, 0}}});
  const auto two = recorders.find(uuid(2));
  recorders.reconcile({{uuid(1), {6 * kMB, 0}}, {uuid(2), {5 * kMB, 0}}, {uuid(3), {2 * kMB, 0}}});
  EXPECT_THAT(recorders.trouble(uuid(2)), HasSubstr("the limit is 10000000"));
  EXPECT_EQ(recorders.find(uuid(2)), two) << "it keeps what it has";
  EXPECT_EQ(recorders.trouble(uuid(3)), "");
  recorders.reconcile({{uuid(1), {3 * kMB, 0}}, {uuid(2), {7 * kMB, 0}}});
  EXPECT_EQ(recorders.trouble(uuid(2)), "") << "one shrinks, the other grows";
  EXPECT_NE(recorders.find(uuid(2)), two);
}

TEST_F(RecordersOfSessions, WriteIntoASocket) {
  recorders.reconcile({{uuid(1), {20 * kMB / 4, 0}}});
  for (std::uint32_t n = 0; n < 3000; ++n) add(*recorders.find(uuid(1)), n, 1400);  // more than a turn writes
  Pair pair;
  Recording held;
  ASSERT_EQ(recorders.dump(uuid(1), pair.theirs(), false, held), "");
  EXPECT_EQ(held.frames, 3000U);
  const std::vector<Got> got = parse(pair.read(io));
  ASSERT_THAT(got, SizeIs(3000));
  EXPECT_EQ(number_of(got.back()), 2999U);
  EXPECT_EQ(recorders.find(uuid(1))->state().frames, 3000U);
}

TEST_F(RecordersOfSessions, ForgetOnlyWhatTheClientHasTaken) {
  recorders.reconcile({{uuid(1), {kMB, 0}}});
  const auto recorder = recorders.find(uuid(1));
  add(*recorder, 1);
  Recording held;
  {
    Pair gone;
    ASSERT_EQ(recorders.dump(uuid(1), gone.theirs(), true, held), "");
    EXPECT_THAT(parse(gone.read(io)), SizeIs(1));
  }
  io.restart();
  io.poll();
  EXPECT_EQ(recorder->state().frames, 1U) << "its disk may have been full";
  Pair pair;
  ASSERT_EQ(recorders.dump(uuid(1), pair.theirs(), true, held), "");
  EXPECT_THAT(parse(pair.read(io)), SizeIs(1));
  EXPECT_EQ(recorder->state().frames, 1U);
  ASSERT_EQ(::send(pair.ends[0], "", 1, 0), 1);
  io.restart();
  io.poll();
  EXPECT_EQ(recorder->state().frames, 0U);
}

TEST_F(RecordersOfSessions, AClientThatDoesNotReadHasNoMoreThanItsSocket) {
  recorders.reconcile({{uuid(1), {9 * kMB, 0}}});
  for (std::uint32_t n = 0; n < 6000; ++n) add(*recorders.find(uuid(1)), n, 1400);
  std::vector<std::unique_ptr<Pair>> pairs;
  Recording held;
  for (std::size_t i = 0; i < limits::kDumps; ++i) {
    pairs.push_back(std::make_unique<Pair>());
    const int small = 4096;
    ::setsockopt(pairs.back()->ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ASSERT_EQ(recorders.dump(uuid(1), pairs.back()->theirs(), false, held), "");
  }
  io.poll();
  Pair another;
  EXPECT_THAT(recorders.dump(uuid(1), another.theirs(), false, held), HasSubstr("limit of 4 dumps"));
  add(*recorders.find(uuid(1)), 7);  // who copies does not wait for them
  pairs.pop_back();
  io.restart();
  io.poll();
  Pair next;
  EXPECT_EQ(recorders.dump(uuid(1), next.theirs(), false, held), "") << "one has gone";
  const std::weak_ptr<Recorder> recorder = recorders.find(uuid(1));
  recorders.reconcile({});
  EXPECT_TRUE(recorder.expired()) << "no dump keeps it";
  EXPECT_LT(parse(next.read(io)).size(), held.frames) << "its dump has ended";
}

TEST_F(RecordersOfSessions, RefuseWhatIsNoSocket) {
  recorders.reconcile({{uuid(1), {kMB, 0}}});
  Recording held;
  EXPECT_THAT(recorders.dump(uuid(1), UniqueFd(), false, held), HasSubstr("a dump needs a socket"));
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd one(ends[0]);
  EXPECT_THAT(recorders.dump(uuid(1), UniqueFd(ends[1]), false, held), HasSubstr("SOCK_SEQPACKET"));
  Pair pair;
  EXPECT_THAT(recorders.dump(uuid(2), pair.theirs(), false, held), HasSubstr("no recorder"));
}

}  // namespace
}  // namespace vswitch::bridge
