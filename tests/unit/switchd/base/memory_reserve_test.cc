// SPDX-License-Identifier: Apache-2.0
// What an allocation that fails does with the reserves. The handler is called as operator new would call it.
#include "switchd/base/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>
#include <thread>

namespace vswitch::memory {
namespace {

constexpr std::size_t kBytes = 32 << 20;

class MemoryReserve : public ::testing::Test {
 protected:
  MemoryReserve() { set_reserve_aside(kBytes); }
  ~MemoryReserve() override {
    {
      const NoWayBack uses_both;
      EXPECT_THROW(while (true) allocation_fails(), std::bad_alloc);
    }
    set_reserve_aside(0);
    std::set_new_handler(nullptr);
  }
  static void allocation_fails() { std::get_new_handler()(); }
};

TEST_F(MemoryReserve, ARequestGoesOnToTheNextSafePoint) {
  EXPECT_NO_THROW(check());
  EXPECT_EQ(reserve_held(), kBytes);
  EXPECT_NO_THROW(allocation_fails()) << "it may be one in a destructor: it is tried again";
  EXPECT_THROW(check(), std::bad_alloc);
  EXPECT_TRUE(refill_reserve());
  EXPECT_EQ(reserve_held(), kBytes);
  EXPECT_NO_THROW(check());
}

/// As nlohmann's destructor, which allocates.
struct Destroyed {
  ~Destroyed() { std::get_new_handler()(); }
};

TEST_F(MemoryReserve, IfThatDoesNotLastThereIsMemoryForTheWayOut) {
  allocation_fails();
  const auto request = [] {
    const Destroyed tree;
    allocation_fails();
  };
  EXPECT_THROW(request(), std::bad_alloc) << "the destructor did not fail";
  EXPECT_TRUE(refill_reserve());
  EXPECT_NO_THROW(allocation_fails());
}

TEST_F(MemoryReserve, WhatMustNotFailUsesBoth) {
  {
    const NoWayBack no_way_back;
    EXPECT_NO_THROW(allocation_fails());
    EXPECT_NO_THROW(check()) << "no safe point";
    EXPECT_NO_THROW(allocation_fails());
    EXPECT_THROW(allocation_fails(), std::bad_alloc) << "and there is no more";
    require_reserve();
    EXPECT_NO_THROW(allocation_fails());
  }
  require_reserve();
  EXPECT_NO_THROW(check()) << "requests are begun again";
}

TEST_F(MemoryReserve, OtherThreadsUseThem) {
  std::thread([] {
    EXPECT_NO_THROW(allocation_fails());
    EXPECT_NO_THROW(allocation_fails());
  }).join();
  EXPECT_THROW(check(), std::bad_alloc);
}

}  // namespace
}  // namespace vswitch::memory
