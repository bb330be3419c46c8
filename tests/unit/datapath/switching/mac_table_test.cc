// SPDX-License-Identifier: Apache-2.0
#include "datapath/switching/mac_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

namespace vswitch {
namespace {

MacAddr mac(std::uint64_t n) {
  return MacAddr::from_u64(0x020000000000 + n);
}
constexpr PortNo kA{3};
constexpr PortNo kB{8};
constexpr TimeNs kStart = 5000 * kSecondNs;

TEST(MacTable, FindsWhatItLearnedInItsVlanOnly) {
  MacTable table;
  EXPECT_EQ(table.learn(10, mac(1), kA, kStart), MacTable::Learned::fresh);
  EXPECT_EQ(table.learn(10, mac(1), kA, kStart), MacTable::Learned::known);
  EXPECT_EQ(table.lookup(10, mac(1), kStart), kA);
  EXPECT_EQ(table.lookup(11, mac(1), kStart), std::nullopt);
  EXPECT_EQ(table.lookup(10, mac(2), kStart), std::nullopt);
}

TEST(MacTable, AllZeroAddressInVlan0IsOrdinary) {
  MacTable table;
  EXPECT_EQ(table.lookup(0, MacAddr{}, kStart), std::nullopt);
  table.learn(0, MacAddr{}, kA, kStart);
  EXPECT_EQ(table.lookup(0, MacAddr{}, kStart), kA);
}

TEST(MacTable, MovesAtOnce) {
  MacTable table;
  table.learn(1, mac(1), kA, kStart);
  EXPECT_EQ(table.learn(1, mac(1), kB, kStart), MacTable::Learned::moved);
  EXPECT_EQ(table.lookup(1, mac(1), kStart), kB);
  table.forget_port(kA);
  EXPECT_EQ(table.lookup(1, mac(1), kStart), kB);
  table.forget_port(kB);
  EXPECT_EQ(table.lookup(1, mac(1), kStart), std::nullopt);
  EXPECT_EQ(table.size(), 0U);
}

TEST(MacTable, ForgetsAfterTheAgingTimeUnlessSeenAgain) {
  MacTable table(100, 20 * kSecondNs);
  table.learn(1, mac(1), kA, kStart);
  table.learn(1, mac(2), kA, kStart);
  table.learn(1, mac(2), kA, kStart + 15 * kSecondNs);
  EXPECT_EQ(table.lookup(1, mac(1), kStart + 19 * kSecondNs), kA);
  EXPECT_EQ(table.lookup(1, mac(1), kStart + 20 * kSecondNs), std::nullopt);
  EXPECT_EQ(table.lookup(1, mac(2), kStart + 34 * kSecondNs), kA);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.sweep(kStart + 20 * kSecondNs), 1U);
  EXPECT_EQ(table.size(), 1U);
  const auto entries = table.entries(kStart + 25 * kSecondNs);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].mac, mac(2));
  EXPECT_EQ(entries[0].age_seconds, 10U);
}

TEST(MacTable, WhenFullThePortWithTheMostForgetsItsOldest) {
  MacTable table(4);
  table.learn(1, mac(1), kB, kStart);
  for (std::uint64_t n = 2; n <= 4; ++n)
    table.learn(1, mac(n), kA, kStart + static_cast<TimeNs>(n) * kSecondNs);
  table.learn(1, mac(2), kA, kStart + 9 * kSecondNs);  // no longer the oldest of A
  table.learn(1, mac(5), kB, kStart + 10 * kSecondNs);
  EXPECT_EQ(table.size(), 4U);
  EXPECT_EQ(table.lookup(1, mac(3), kStart), std::nullopt);
  for (std::uint64_t n : {1, 2, 4, 5}) EXPECT_TRUE(table.lookup(1, mac(n), kStart)) << n;
}

TEST(MacTable, APinnedAddressStaysWhereItIs) {
  MacTable table(4, 20 * kSecondNs);
  table.learn(1, mac(1), kB, kStart);
  EXPECT_TRUE(table.pin(1, mac(1), kA));
  EXPECT_EQ(table.pinned_to(1, mac(1)), kA);
  EXPECT_EQ(table.learn(1, mac(1), kB, kStart), MacTable::Learned::known);
  EXPECT_EQ(table.lookup(1, mac(1), kStart + 1'000'000 * kSecondNs), kA);
  EXPECT_EQ(table.sweep(kStart + 1'000'000 * kSecondNs), 0U);
  EXPECT_EQ(table.flush(), 0U);
  for (std::uint64_t n = 2; n <= 9; ++n) table.learn(1, mac(n), kB, kStart);
  EXPECT_EQ(table.size(), 4U);
  table.set_limits(10, MacTable::kDefaultAging);
  EXPECT_EQ(table.lookup(1, mac(1), kStart), kA);
  const auto entries = table.entries(kStart + kSecondNs);
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_TRUE(entries[0].pinned);
  EXPECT_EQ(entries[0].mac, mac(1));
  EXPECT_EQ(entries[0].port, kA);
  EXPECT_EQ(entries[1].age_seconds, 1U);

  EXPECT_TRUE(table.pin(1, mac(1), kB));  // moved by hand
  EXPECT_EQ(table.lookup(1, mac(1), kStart), kB);
  EXPECT_FALSE(table.unpin(1, mac(2)));  // learned, not pinned
  EXPECT_TRUE(table.unpin(1, mac(1)));
  EXPECT_EQ(table.lookup(1, mac(1), kStart), std::nullopt);
  EXPECT_TRUE(table.pin(1, mac(1), kA));
  table.forget_port(kA);
  EXPECT_EQ(table.pinned_to(1, mac(1)), std::nullopt);
  EXPECT_EQ(table.lookup(1, mac(1), kStart), std::nullopt);
}

TEST(MacTable, IsNotFilledBeyondItsCapacityByPinning) {
  MacTable table(4);
  for (std::uint64_t n = 1; n <= 4; ++n) EXPECT_TRUE(table.pin(1, mac(n), kA));
  EXPECT_FALSE(table.pin(1, mac(5), kA));
  table.learn(1, mac(6), kB, kStart);
  for (std::uint64_t n = 1; n <= 4; ++n) EXPECT_EQ(table.lookup(1, mac(n), kStart), kA);
}

TEST(MacTable, CountsWhatHappened) {
  MacTable table(4, 20 * kSecondNs);
  for (std::uint64_t n = 1; n <= 5; ++n) table.learn(1, mac(n), kA, kStart);
  table.learn(1, mac(5), kB, kStart);
  table.sweep(kStart + 20 * kSecondNs);
  const MacStatistics statistics = table.statistics();
  EXPECT_EQ(statistics.learned, 5U);
  EXPECT_EQ(statistics.evicted, 1U);
  EXPECT_EQ(statistics.moved, 1U);
  EXPECT_EQ(statistics.expired, 4U);
  table.clear_statistics();
  EXPECT_EQ(table.statistics().learned, 0U);
}

TEST(MacTable, HoldsAHundredThousandAddresses) {
  constexpr std::uint64_t kCount = 100'000;
  MacTable table(kCount);
  for (std::uint64_t n = 0; n < kCount; ++n) {
    table.learn(static_cast<VlanId>(n % 4096), mac(n * 7919), PortNo{static_cast<std::uint32_t>(n % 512)},
                kStart);
  }
  EXPECT_EQ(table.size(), kCount);
  std::uint64_t found = 0;
  for (std::uint64_t n = 0; n < kCount; ++n) {
    found += table.lookup(static_cast<VlanId>(n % 4096), mac(n * 7919), kStart) ==
             PortNo{static_cast<std::uint32_t>(n % 512)};
  }
  EXPECT_EQ(found, kCount);
}

TEST(MacTable, ChangesItsSizeAndKeepsTheYoungest) {
  MacTable table(64);
  for (std::uint64_t n = 0; n < 64; ++n)
    table.learn(1, mac(n), kA, kStart + static_cast<TimeNs>(n) * kSecondNs);
  table.set_limits(16, MacTable::kDefaultAging);
  EXPECT_EQ(table.size(), 16U);
  for (std::uint64_t n = 48; n < 64; ++n) EXPECT_EQ(table.lookup(1, mac(n), kStart), kA) << n;
  table.set_limits(1000, MacTable::kDefaultAging);
  table.free_replaced();
  for (std::uint64_t n = 48; n < 64; ++n) EXPECT_EQ(table.lookup(1, mac(n), kStart), kA) << n;
  table.flush();
  EXPECT_EQ(table.size(), 0U);
}

TEST(MacTable, ForgetsTheAddressesOfSomeVlans) {
  MacTable table(64);
  for (VlanId vlan = 0; vlan < 8; ++vlan) {
    table.learn(vlan, mac(1), kA, kStart);
    table.learn(vlan, mac(2), PortNo{7}, kStart);
  }
  ASSERT_TRUE(table.pin(5, mac(9), kA));
  EXPECT_EQ(table.size_of(kA), 8U) << "without the pinned one";
  VlanSet vlans;
  vlans.set(3).set(5).set(4000);
  table.forget_vlans(vlans);
  for (VlanId vlan = 0; vlan < 8; ++vlan) {
    const bool forgotten = vlan == 3 || vlan == 5;
    EXPECT_EQ(table.lookup(vlan, mac(1), kStart).has_value(), !forgotten) << vlan;
    EXPECT_EQ(table.lookup(vlan, mac(2), kStart).has_value(), !forgotten) << vlan;
  }
  EXPECT_EQ(table.lookup(5, mac(9), kStart), kA) << "pinned";
  EXPECT_EQ(table.size_of(kA), 6U);
  EXPECT_EQ(table.size_of(PortNo{99}), 0U);
}

TEST(MacTable, ReadersNeverSeeAnotherAddressesPort) {
  // Address n is only ever on ports n and n + 1000: a reader that sees anything else has read a torn entry.
  MacTable table(64);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    while (!stop) {
      for (std::uint32_t n = 0; n < 200; ++n) {
        const auto port = table.lookup(1, mac(n), kStart);
        if (port && *port != PortNo{n} && *port != PortNo{n + 1000}) ++wrong;
      }
    }
  });
  std::thread writers[2];
  for (std::uint32_t w = 0; w < 2; ++w) {
    writers[w] = std::thread([&table, w] {
      for (std::uint32_t round = 0; round < 300; ++round) {
        for (std::uint32_t n = 0; n < 200; ++n)
          table.learn(1, mac(n), PortNo{n + 1000 * ((round + w) % 2)}, kStart);
        if (round % 50 == 0) table.forget_port(PortNo{round});
      }
    });
  }
  for (auto& writer : writers) writer.join();
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(table.size(), 64U);
}

struct Watcher : AddressWatcher {
  std::vector<std::pair<VlanId, MacAddr>> told;
  void forgotten(const MacTable& table, VlanId vlan, const MacAddr& mac) override {
    EXPECT_NE(table.lookup(vlan, mac, kStart), kA) << "it is told after the change";
    told.emplace_back(vlan, mac);
  }
};

TEST(MacTable, TellsItsWatcherWhatIsNotWhereItWas) {
  Watcher watcher;
  MacTable table(4, 20 * kSecondNs, &watcher);
  const auto told = [&watcher] { return std::exchange(watcher.told, {}); };
  using Addresses = std::vector<std::pair<VlanId, MacAddr>>;

  table.learn(1, mac(1), kA, kStart);
  table.learn(1, mac(1), kA, kStart + kSecondNs);
  EXPECT_EQ(told(), Addresses{}) << "it is where it was";
  table.learn(1, mac(1), kB, kStart);
  EXPECT_EQ(told(), (Addresses{{1, mac(1)}})) << "moved";
  table.pin(1, mac(1), kB);
  EXPECT_EQ(told(), (Addresses{{1, mac(1)}})) << "pinned";
  table.unpin(1, mac(1));
  EXPECT_EQ(told(), (Addresses{{1, mac(1)}})) << "unpinned";
  table.learn(1, mac(2), kA, kStart);
  table.forget_port(kA);
  EXPECT_EQ(told(), (Addresses{{1, mac(2)}})) << "its port is gone";
  table.learn(3, mac(3), kA, kStart);
  VlanSet three;
  three.set(3);
  table.forget_vlans(three);
  EXPECT_EQ(told(), (Addresses{{3, mac(3)}})) << "its VLAN is flooded";
  table.learn(1, mac(4), kA, kStart);
  table.sweep(kStart + 30 * kSecondNs);
  EXPECT_EQ(told(), (Addresses{{1, mac(4)}})) << "aged out";
  table.learn(1, mac(5), kA, kStart);
  table.flush();
  EXPECT_EQ(told(), (Addresses{{1, mac(5)}})) << "flushed";
  for (std::uint64_t n = 10; n < 15; ++n) table.learn(1, mac(n), kA, kStart);
  EXPECT_EQ(told(), (Addresses{{1, mac(10)}})) << "evicted";
  table.set_limits(3, 20 * kSecondNs);
  EXPECT_EQ(told(), (Addresses{{1, mac(11)}})) << "no room any more";
}

TEST(MacTable, RefreshesOnlyWhatIsOnThatPort) {
  MacTable table(4, 20 * kSecondNs);
  table.learn(1, mac(1), kA, kStart);
  table.refresh(1, mac(1), kB, kStart + 15 * kSecondNs);
  EXPECT_EQ(table.lookup(1, mac(1), kStart + 21 * kSecondNs), std::nullopt);
  table.learn(1, mac(2), kA, kStart);
  table.refresh(1, mac(2), kA, kStart + 15 * kSecondNs);
  EXPECT_EQ(table.lookup(1, mac(2), kStart + 21 * kSecondNs), kA);
  table.refresh(1, mac(3), kA, kStart);
  EXPECT_EQ(table.lookup(1, mac(3), kStart), std::nullopt) << "it teaches nothing";
}

}  // namespace
}  // namespace vswitch
