// SPDX-License-Identifier: Apache-2.0
// The host's stack kept away from a device, and given back.
#include "switchd/netlink/host_isolation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "datapath/port/af_packet_port.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

using namespace std::chrono_literals;

class HostIsolationTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    make_veth(switch_, "p0", host_, "h0");
    run(switch_, "ip addr add 192.0.2.1/24 dev p0");
    run(host_, "ip addr add 192.0.2.2/24 dev h0");
    ifindex_ = ifindex_of(switch_, "p0");
  }

  bool ping(const Namespace& from, const std::string& to, int seconds = 1) {
    run(from, "ip neigh flush nud all");  // a failed neighbour would answer for a second
    return run(from, "ping -c 1 -W " + std::to_string(seconds) + " " + to +
                         " >/dev/null && echo yes || echo no") == "yes\n";
  }

  /// Everything tc has on the device.
  std::string tc_state() {
    return run(switch_,
               "tc qdisc show dev p0; tc filter show dev p0 ingress; tc filter show dev p0 egress; ip -d "
               "link show p0");
  }

  std::string filters(const std::string& side) { return run(switch_, "tc filter show dev p0 " + side); }

  std::unique_ptr<netlink::HostIsolation> isolation(const std::string& rundir = "/run/test") {
    const Inside inside(switch_);
    return std::make_unique<netlink::HostIsolation>(rundir);
  }

  /// What a daemon that was killed leaves behind: a child process isolates and dies without any destructor.
  pid_t leave_behind(const std::string& rundir) {
    const pid_t child = ::fork();
    if (child == 0) {
      const Inside inside(switch_);
      netlink::HostIsolation abandoned(rundir);
      ::_exit(abandoned.isolate(ifindex_) ? 1 : 0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return child;
  }

  Namespace switch_;
  Namespace host_;
  int ifindex_ = 0;
};

TEST_F(HostIsolationTest, TheHostNeitherAnswersNorSeesNorSendsUntilReleased) {
  const std::string before = tc_state();
  ASSERT_TRUE(ping(host_, "192.0.2.1"));
  const auto isolation = this->isolation();
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  const RawSocket arrives(switch_, "p0");
  const RawSocket wire(host_, "h0");
  EXPECT_FALSE(ping(host_, "192.0.2.1"));
  EXPECT_TRUE(arrives.receive()) << "packet sockets see what is dropped later";
  EXPECT_FALSE(wire.receive(50ms)) << "no ARP reply";
  EXPECT_FALSE(ping(switch_, "192.0.2.2"));
  EXPECT_FALSE(wire.receive(50ms)) << "no ARP request";
  EXPECT_EQ(wire.send(test_frame(60)), 0);
  EXPECT_EQ(isolation->release(ifindex_), std::nullopt);
  EXPECT_EQ(tc_state(), before);
  EXPECT_TRUE(ping(host_, "192.0.2.1", 5));
  EXPECT_TRUE(ping(switch_, "192.0.2.2", 5));
}

TEST_F(HostIsolationTest, TheEndReleasesEverything) {
  const std::string before = tc_state();
  {
    const auto isolation = this->isolation();
    EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
    EXPECT_NE(tc_state(), before);
  }
  EXPECT_EQ(tc_state(), before);
}

TEST_F(HostIsolationTest, ThePortStillReceivesAndSendsBothWays) {
  const auto isolation = this->isolation();
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  AfPacketOptions options;
  options.name = "p0";
  options.ifindex = ifindex_;
  std::unique_ptr<Port> port;
  {
    const Inside inside(switch_);
    port = open_af_packet_port(options);
  }
  const RawSocket wire(host_, "h0");
  ASSERT_EQ(wire.send(test_frame(60)), 0);
  EXPECT_EQ(receive(*port, 1).size(), 1U);
  ASSERT_EQ(send(*port, test_frame(61)), DropReason::none);
  EXPECT_TRUE(wire.receive());
  // Through the queueing discipline, past the egress filter: a GSO packet the device cannot cut up.
  run(switch_, "ethtool -K p0 tso off gso off");
  ASSERT_EQ(send(*port, tcp_frame(3000), offload_from_vnet_header(tcp_vnet(1448))), DropReason::none);
  for (int segment = 0; segment < 3; ++segment) EXPECT_TRUE(wire.receive()) << segment;
  EXPECT_FALSE(ping(switch_, "192.0.2.2"));
}

TEST_F(HostIsolationTest, TheFilterSaysWhoPutItThere) {
  const auto isolation = this->isolation("/run/some where");
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  const std::string name = "vswitch pid=" + std::to_string(::getpid()) + " start=";
  for (const char* side : {"ingress", "egress"}) {
    EXPECT_NE(filters(side).find(name), std::string::npos) << filters(side);
    EXPECT_NE(filters(side).find("clsact=made rundir=/run/some where"), std::string::npos) << filters(side);
  }
}

TEST_F(HostIsolationTest, AUsersClsactAndFiltersStay) {
  run(switch_, "tc qdisc add dev p0 clsact");
  run(switch_, "tc filter add dev p0 ingress prio 1 protocol all u32 match u32 0 0 classid 1:7");
  run(switch_, "tc filter add dev p0 egress prio 9 protocol ip u32 match u32 0 0 classid 1:8");
  const std::string before = tc_state();
  {
    const auto isolation = this->isolation();
    const std::optional<std::string> warning = isolation->isolate(ifindex_);
    ASSERT_TRUE(warning);
    EXPECT_NE(warning->find("come before those of the switch"), std::string::npos) << *warning;
    EXPECT_FALSE(ping(host_, "192.0.2.1"));
    EXPECT_NE(filters("ingress").find("clsact=found"), std::string::npos);
  }
  EXPECT_EQ(tc_state(), before);
}

TEST_F(HostIsolationTest, OurClsactStaysWhenAUserHungSomethingOnIt) {
  {
    const auto isolation = this->isolation();
    EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
    run(switch_, "tc filter add dev p0 egress prio 9 protocol ip u32 match u32 0 0 classid 1:8");
  }
  EXPECT_NE(tc_state().find("clsact"), std::string::npos);
  EXPECT_NE(filters("egress").find("1:8"), std::string::npos);
  EXPECT_EQ(filters("ingress"), "");
  EXPECT_EQ(filters("egress").find("vswitch"), std::string::npos);
}

TEST_F(HostIsolationTest, AUsersIngressQdiscIsRespectedAndTheGapIsSaid) {
  run(switch_, "tc qdisc add dev p0 ingress");
  const std::string before = tc_state();
  const auto isolation = this->isolation();
  const std::optional<std::string> warning = isolation->isolate(ifindex_);
  ASSERT_TRUE(warning);
  EXPECT_NE(warning->find("may still send"), std::string::npos) << *warning;
  EXPECT_FALSE(ping(host_, "192.0.2.1"));
  EXPECT_EQ(isolation->release(ifindex_), std::nullopt);
  EXPECT_EQ(tc_state(), before);
}

TEST_F(HostIsolationTest, WhatAKilledDaemonLeftIsCleanedByTheNextOfTheSameRunDirectory) {
  const std::string before = tc_state();
  leave_behind("/run/test");
  EXPECT_FALSE(ping(host_, "192.0.2.1"));
  const auto isolation = this->isolation("/run/test");
  const std::vector<std::string> cleaned = isolation->clean_leftovers();
  ASSERT_EQ(cleaned.size(), 1U);
  EXPECT_NE(cleaned[0].find("run directory /run/test"), std::string::npos) << cleaned[0];
  EXPECT_EQ(tc_state(), before);
  EXPECT_TRUE(ping(host_, "192.0.2.1", 5));
  EXPECT_TRUE(isolation->clean_leftovers().empty());
}

TEST_F(HostIsolationTest, WhatADeadDaemonOfAnotherRunDirectoryLeftIsCleanedAndALiveOnesStays) {
  leave_behind("/run/other");
  EXPECT_EQ(isolation("/run/test")->clean_leftovers().size(), 1U);

  const auto alive = isolation("/run/other");  // this process lives
  EXPECT_EQ(alive->isolate(ifindex_), std::nullopt);
  EXPECT_TRUE(isolation("/run/test")->clean_leftovers().empty());
  EXPECT_FALSE(ping(host_, "192.0.2.1"));
}

TEST_F(HostIsolationTest, AFilterThatComesFirstIsNoticedAsLongAsItIsThere) {
  run(switch_, "tc qdisc add dev p0 clsact");
  run(switch_, "tc filter add dev p0 egress prio 1 protocol all u32 match u32 0 0 classid 1:7");
  const auto isolation = this->isolation();
  EXPECT_NE(isolation->isolate(ifindex_), std::nullopt);
  run(switch_, "tc filter del dev p0 egress prio 1");
  EXPECT_EQ(isolation->look(ifindex_).trouble, std::nullopt);
  run(switch_, "tc filter add dev p0 egress prio 9 protocol all u32 match u32 0 0 classid 1:7");
  EXPECT_EQ(isolation->look(ifindex_).trouble, std::nullopt);
  run(switch_, "tc filter add dev p0 egress prio 1 protocol all u32 match u32 0 0 classid 1:7");
  EXPECT_NE(isolation->look(ifindex_).trouble, std::nullopt);
}

TEST_F(HostIsolationTest, WhatSomebodyRemovedIsPutBackOnce) {
  const std::string before = tc_state();
  {
    const auto isolation = this->isolation();
    EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
    EXPECT_FALSE(isolation->look(ifindex_).was_lost);
    for (const char* removal :
         {"tc qdisc del dev p0 clsact", "tc filter del dev p0 ingress", "tc filter del dev p0 egress"}) {
      run(switch_, removal);
      const netlink::Isolation found = isolation->look(ifindex_);
      EXPECT_TRUE(found.was_lost) << removal;
      EXPECT_EQ(found.trouble, std::nullopt) << removal;
      EXPECT_FALSE(isolation->look(ifindex_).was_lost) << removal;
      EXPECT_FALSE(ping(host_, "192.0.2.1")) << removal;
    }
  }
  EXPECT_EQ(tc_state(), before);
}

TEST_F(HostIsolationTest, ADeviceThatIsGoneIsNoTrouble) {
  const auto isolation = this->isolation();
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  run(switch_, "ip link del p0");
  EXPECT_EQ(isolation->release(ifindex_), std::nullopt);
  const std::optional<std::string> refusal = isolation->isolate(4711);
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->find("No such device"), std::string::npos) << *refusal;
}

/// The newest netlink socket of this process cannot be used while this lives.
class BrokenNetlink {
 public:
  BrokenNetlink() {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      const int fd = std::stoi(entry.path().filename());
      int domain = 0;
      socklen_t length = sizeof domain;
      if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK)
        fd_ = std::max(fd_, fd);
    }
    kept_ = UniqueFd(::dup(fd_));
    const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    ::dup2(nothing.get(), fd_);
  }
  ~BrokenNetlink() { ::dup2(kept_.get(), fd_); }

 private:
  int fd_ = -1;
  UniqueFd kept_;
};

TEST_F(HostIsolationTest, AListThatTheKernelRefusesIsNoEmptyList) {
  const std::string before = tc_state();
  const auto isolation = this->isolation();
  const auto says = [](const std::optional<std::string>& trouble, const char* what) {
    return trouble && trouble->find(what) != std::string::npos;
  };
  {
    const BrokenNetlink broken;
    EXPECT_TRUE(says(isolation->isolate(ifindex_), "cannot list filters"));
  }
  EXPECT_EQ(isolation->isolate(ifindex_), std::nullopt);
  const std::string isolated = tc_state();
  {
    const BrokenNetlink broken;
    EXPECT_TRUE(says(isolation->release(ifindex_), "cannot list filters"));
    EXPECT_THROW(isolation->clean_leftovers(), std::runtime_error);
  }
  EXPECT_EQ(tc_state(), isolated);
  EXPECT_EQ(isolation->release(ifindex_), std::nullopt) << "it is not forgotten";
  EXPECT_EQ(tc_state(), before);
}

TEST_F(HostIsolationTest, WithoutPermissionForBpfItSaysSoAndChangesNothing) {
  const std::string before = tc_state();
  const pid_t child = ::fork();
  if (child == 0) {
    const Inside inside(switch_);
    netlink::HostIsolation isolation("/run/test");
    if (::setuid(65534) != 0) ::_exit(2);
    const std::optional<std::string> refusal = isolation.isolate(ifindex_);
    ::_exit(refusal && refusal->find("bpf(2) refused") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(tc_state(), before);
}

}  // namespace
}  // namespace vswitch::platform
