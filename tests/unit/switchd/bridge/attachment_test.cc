// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/attachment.h"

#include <gtest/gtest.h>

#include <future>
#include <set>
#include <stdexcept>
#include <utility>

#include "datapath/port/memory_port.h"

namespace vswitch::bridge {
namespace {

using enum AttachmentState;

constexpr AttachmentState kStates[] = {waiting, opening, open, linked, failed, refused};

class OverrunPort : public MemoryPort {
 public:
  explicit OverrunPort(std::uint64_t overruns) : overruns_(overruns) {}
  std::uint64_t receive_overruns() override { return overruns_; }

 private:
  const std::uint64_t overruns_;
};

Attachment::State make(AttachmentState state) {
  switch (state) {
    case waiting:
      return Waiting{};
    case opening: {
      std::promise<std::unique_ptr<Port>> promise;
      promise.set_value(std::make_unique<MemoryPort>());
      return Opening{.device = promise.get_future(), .ifindex = 3, .generation = 5, .earlier_error = "old"};
    }
    case open:
      return Open{.device = std::make_shared<OverrunPort>(7), .ifindex = 3, .generation = 5};
    case linked:
      return Linked{};
    case failed:
      return Failed{.error = "no memory", .round = 2};
    case refused:
      return Refused{.error = "no such device"};
  }
  return Waiting{};
}

/// In that state, by the shortest way.
Attachment in(AttachmentState state) {
  Attachment attachment;
  if (state != waiting) attachment.become(make(state));
  return attachment;
}

bool may_become(AttachmentState from, AttachmentState to) {
  Attachment attachment = in(from);
  try {
    attachment.become(make(to));
  } catch (const std::logic_error&) {
    EXPECT_EQ(attachment.state(), from) << "a refused change has changed it";
    return false;
  }
  EXPECT_EQ(attachment.state(), to);
  return true;
}

TEST(AttachmentTest, ChangesAreThoseThatAreDocumented) {
  const std::set<std::pair<AttachmentState, AttachmentState>> allowed = {
      {waiting, opening}, {waiting, open},   {waiting, linked}, {waiting, failed},
      {waiting, refused}, {opening, open},   {opening, failed}, {open, waiting},
      {linked, waiting},  {failed, waiting}, {refused, waiting}};
  for (const AttachmentState from : kStates) {
    for (const AttachmentState to : kStates) {
      EXPECT_EQ(may_become(from, to), allowed.contains({from, to})) << name(from) << " -> " << name(to);
    }
  }
}

TEST(AttachmentTest, StartsWaiting) {
  const Attachment attachment;
  EXPECT_TRUE(attachment.is(waiting));
  EXPECT_EQ(attachment.error(), "");
}

TEST(AttachmentTest, CarriesFramesWithADeviceOrWithoutTheNeedOfOne) {
  for (const AttachmentState state : kStates) {
    const Attachment attachment = in(state);
    EXPECT_EQ(attachment.works(), state == open || state == linked) << name(state);
    EXPECT_EQ(attachment.device() != nullptr, state == open) << name(state);
  }
}

TEST(AttachmentTest, TellsWhyThereIsNoDevice) {
  EXPECT_EQ(in(failed).error(), "no memory");
  EXPECT_EQ(in(refused).error(), "no such device");
  for (const AttachmentState state : {waiting, opening, open, linked}) EXPECT_EQ(in(state).error(), "");
}

TEST(AttachmentTest, WhatWasOverrunOutlivesTheDevice) {
  Attachment attachment = in(open);
  attachment.earlier_overruns = 4;
  EXPECT_EQ(attachment.overruns(), 11u);
  attachment.become(Waiting{});
  EXPECT_EQ(attachment.overruns(), 4u);
}

}  // namespace
}  // namespace vswitch::bridge
