// SPDX-License-Identifier: Apache-2.0
// The link table against a namespace that changes under it.
#include "switchd/netlink/link_monitor.h"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "datapath/port/tap_port.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

class LinkMonitorTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    make_veth(space_, "p0", peer_space_, "h0");
    inside_ = std::make_unique<Inside>(space_);
    monitor_ = std::make_unique<netlink::LinkMonitor>(
        io_, [this](const Names& names) { reports_.push_back(names); });
  }

  void TearDown() override {
    monitor_.reset();
    inside_.reset();
  }

  /// Runs the loop until `condition` holds; false after two seconds.
  template <typename Condition>
  bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.run_for(10ms);
      io_.restart();
    }
    return true;
  }

  bool reported(const std::string& name) const {
    return std::any_of(reports_.begin(), reports_.end(), [&](const Names& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    });
  }

  Namespace space_;
  Namespace peer_space_;
  std::unique_ptr<Inside> inside_;
  boost::asio::io_context io_;
  std::unique_ptr<netlink::LinkMonitor> monitor_;
  std::vector<Names> reports_;
};

TEST_F(LinkMonitorTest, KnowsTheLinksFromTheStart) {
  const netlink::Link* link = monitor_->find("p0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->ifindex, ifindex_of(space_, "p0"));
  EXPECT_TRUE(link->up);
  EXPECT_TRUE(link->carrier);
  EXPECT_TRUE(link->ethernet);
  EXPECT_EQ(link->mtu, 1500U);
  EXPECT_EQ(link->kind, "veth");
  EXPECT_EQ(link->mac.to_string() + "\n",
            run("cat /sys/class/net/p0/address 2>/dev/null || ip -o link show p0 | "
                "sed 's/.*ether \\([^ ]*\\).*/\\1/'")
                .substr(0, 18));
  EXPECT_EQ(link->speed, 10'000'000'000U);  // what veth says
  EXPECT_EQ(link->full_duplex, true);
  EXPECT_EQ(monitor_->find(link->ifindex), link);
  ASSERT_NE(monitor_->find("lo"), nullptr);
  EXPECT_FALSE(monitor_->find("lo")->ethernet);
  EXPECT_EQ(monitor_->find("nosuch"), nullptr);
  EXPECT_TRUE(reports_.empty());
}

TEST_F(LinkMonitorTest, SettersChangeTheDeviceAndTheTableFollows) {
  EXPECT_EQ(monitor_->set_mtu("p0", 9000), std::nullopt);
  EXPECT_EQ(monitor_->set_mac("p0", MacAddr{{2, 0, 0, 7, 7, 7}}), std::nullopt);
  EXPECT_EQ(monitor_->set_up("p0", false), std::nullopt);
  EXPECT_TRUE(eventually([&] {
    const netlink::Link* link = monitor_->find("p0");
    return !link->up && !link->carrier && link->mtu == 9000 && link->mac == MacAddr{{2, 0, 0, 7, 7, 7}};
  }));
  EXPECT_TRUE(reported("p0"));
  EXPECT_EQ(monitor_->set_up("p0", true), std::nullopt);
  EXPECT_TRUE(eventually([&] { return monitor_->find("p0")->carrier; }));
  EXPECT_GE(monitor_->find("p0")->link_resets, 2U);
}

TEST_F(LinkMonitorTest, RefusalsAreSentences) {
  EXPECT_EQ(monitor_->set_mtu("p0", 100000),
            "cannot set the MTU of p0 to 100000: mtu greater than device maximum");
  EXPECT_EQ(monitor_->set_up("nosuch", true), "cannot bring up nosuch: No such device");
  EXPECT_EQ(monitor_->set_mac("p0", MacAddr{{1, 0, 0, 0, 0, 1}}),
            "cannot set the address of p0 to 01:00:00:00:00:01: Cannot assign requested address");
}

TEST_F(LinkMonitorTest, TheOtherEndGoingDownIsALossOfCarrier) {
  run(peer_space_, "ip link set h0 down");
  EXPECT_TRUE(eventually([&] { return !monitor_->find("p0")->carrier; }));
  EXPECT_TRUE(monitor_->find("p0")->up);
  run(peer_space_, "ip link set h0 up");
  EXPECT_TRUE(eventually([&] { return monitor_->find("p0")->carrier; }));
  EXPECT_EQ(monitor_->find("p0")->link_resets, 2U);
}

TEST_F(LinkMonitorTest, ARenameNamesBoth) {
  const netlink::Link before = *monitor_->find("p0");
  run("ip link set p0 name p9");
  EXPECT_TRUE(eventually([&] { return monitor_->find("p9") != nullptr; }));
  EXPECT_EQ(monitor_->find("p0"), nullptr);
  EXPECT_EQ(monitor_->find("p9")->ifindex, before.ifindex);
  EXPECT_EQ(monitor_->find("p9")->generation, before.generation);
  EXPECT_TRUE(reported("p0"));
  EXPECT_TRUE(reported("p9"));
}

TEST_F(LinkMonitorTest, TwoDevicesMaySwapNames) {
  run("ip link add p1 type veth peer name q1");
  monitor_->sync();
  const int first = monitor_->find("p0")->ifindex;
  const int second = monitor_->find("p1")->ifindex;
  run("ip link set p0 name tmp && ip link set p1 name p0 && ip link set tmp name p1");
  monitor_->sync();
  EXPECT_EQ(monitor_->find("p0")->ifindex, second);
  EXPECT_EQ(monitor_->find("p1")->ifindex, first);
  EXPECT_EQ(monitor_->find("tmp"), nullptr);
}

TEST_F(LinkMonitorTest, ReplacingADeviceBetweenTwoLooksIsAChange) {
  const netlink::Link before = *monitor_->find("p0");
  run("ip link del p0 && ip link add p0 index " + std::to_string(before.ifindex) + " type veth peer name q0");
  monitor_->sync();
  ASSERT_NE(monitor_->find("p0"), nullptr);
  EXPECT_EQ(monitor_->find("p0")->ifindex, before.ifindex);
  EXPECT_NE(monitor_->find("p0")->generation, before.generation);
  ASSERT_EQ(reports_.size(), 1U);  // one batch, one report
  EXPECT_TRUE(reported("p0"));
}

TEST_F(LinkMonitorTest, ADeviceMadeHereIsSeenAfterSync) {
  TapOptions options;
  options.name = "br0";
  const auto port = open_tap_port(options);
  monitor_->sync();
  ASSERT_NE(monitor_->find("br0"), nullptr);
  EXPECT_EQ(monitor_->find("br0")->kind, "tun");
  EXPECT_TRUE(reported("br0"));
}

TEST_F(LinkMonitorTest, ADeviceThatMovesToAnotherNamespaceIsGone) {
  run("ip link set p0 netns " + peer_space_.path());
  monitor_->sync();
  EXPECT_EQ(monitor_->find("p0"), nullptr);
}

// More notifications than the socket holds: the table must be right afterwards all the same.
TEST_F(LinkMonitorTest, AThousandLinksAndLostNotificationsLeaveTheTableRight) {
  std::string batch;
  for (int i = 0; i < 500; ++i) {
    batch += "link add x" + std::to_string(i) + " type veth peer name y" + std::to_string(i) + "\\n";
  }
  run("printf '" + batch + "' | ip -batch -");
  const auto start = std::chrono::steady_clock::now();
  monitor_->sync();
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(monitor_->links().size(), 1002U);
  std::cout << "1000 new links applied in "
            << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms\n";
  batch.clear();
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 500; ++i) {
      batch += "link set x" + std::to_string(i) + " mtu " + std::to_string(1400 + round) + "\\n";
    }
  }
  for (int i = 0; i < 500; i += 2) batch += "link del x" + std::to_string(i) + "\\n";
  run("printf '" + batch + "' | ip -batch -");
  reports_.clear();
  monitor_->sync();
  EXPECT_EQ(reports_.size(), 1U);
  EXPECT_EQ(monitor_->links().size(), 502U);
  EXPECT_EQ(monitor_->find("x0"), nullptr);
  EXPECT_EQ(monitor_->find("x1")->mtu, 1405U);
}

}  // namespace
}  // namespace vswitch::platform
