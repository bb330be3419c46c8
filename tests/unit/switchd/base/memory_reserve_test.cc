// SPDX-License-Identifier: Apache-2.0
// What an allocation that fails does with the reserve. The handler is called as operator new would call it.
#include "switchd/base/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>
#include <thread>

namespace vswitch::memory {
namespace {

class MemoryReserve : public ::testing::Test {
 protected:
  MemoryReserve() { set_reserve_aside(1 << 20); }
  ~MemoryReserve() override {
    std::set_new_handler(nullptr);
    set_reserve_aside(0);
    std::set_new_handler(nullptr);
  }
  static void allocation_fails() { std::get_new_handler()(); }
};

TEST_F(MemoryReserve, ARequestIsGivenUpWhileThereIsMemoryForTheWayOut) {
  EXPECT_THROW(allocation_fails(), std::bad_alloc);
  EXPECT_TRUE(refill_reserve());
  EXPECT_THROW(allocation_fails(), std::bad_alloc);
}

TEST_F(MemoryReserve, WhatMustNotFailUsesTheReserve) {
  {
    const NoWayBack no_way_back;
    EXPECT_NO_THROW(allocation_fails()) << "it is tried again";
    EXPECT_THROW(allocation_fails(), std::bad_alloc) << "and there is no more";
    require_reserve();
    EXPECT_NO_THROW(allocation_fails());
  }
  require_reserve();
  EXPECT_THROW(allocation_fails(), std::bad_alloc) << "requests are given up again";
}

TEST_F(MemoryReserve, OtherThreadsUseIt) {
  std::thread([] { EXPECT_NO_THROW(allocation_fails()); }).join();
}

}  // namespace
}  // namespace vswitch::memory
