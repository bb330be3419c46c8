// SPDX-License-Identifier: Apache-2.0
// What decide() costs: no memory from the heap once it has seen a few frames, and no look at sessions that
// cannot select the frame.
#include "datapath/pipeline/pipeline.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <numeric>

#include "tests/support/switch_lab.h"

namespace {
thread_local std::size_t allocations = 0;
}  // namespace

// All of this program uses them; they behave like those they replace.
// Not inline: g++ 12 sees malloc() and delete, or new and free(), and takes them for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size != 0 ? size : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";
const std::string kB = "02:00:00:00:00:0b";

class Deciding : public ::testing::Test {
 protected:
  Deciding() {
    for (const char* name : {"p1", "p2", "p3", "m1", "m2"}) lab.port(name);
    // A known destination, an access port, sessions with and without VLAN.
    lab.port("p2").vlan = {.mode = VlanMode::access, .tag = 7};
    copies_to("a", "m1");
    copies_to("b", "m2").vlans = {7};
    copies_to("c", "m2").vlans = {8};
    lab.apply();
    lab.registry.macs("br0")->learn(7, *MacAddr::parse(kB), number("p2"), lab.now);
  }
  SessionSpec& copies_to(const std::string& name, const std::string& destination) {
    SessionSpec& session = lab.session(name);
    session.sources = {{"p1", Direction::both}};
    session.destinations = {destination};
    return session;
  }
  PortNo number(const std::string& name) const {
    for (const PortConfig* port : lab.datapath->current().ports) {
      if (port != nullptr && port->name == name) return port->number;
    }
    return kNoPort;
  }
  const Verdict& decide(const MemoryFrame& frame, Trace* trace = nullptr) {
    const ParseResult parsed = parse({.bytes = frame.bytes, .stripped_tag = {}, .offload = {}});
    return decider.decide(lab.datapath->current(), number("p1"), parsed.frame, lab.now, trace);
  }

  SwitchLab lab;
  Decider decider;
  const MemoryFrame known = frame().src(kA).dst(kB).vlan(7).text("known");
  const MemoryFrame flooded = frame().src(kA).dst(kBroadcast).text("flooded");
};

TEST_F(Deciding, TakesNoMemoryFromTheHeap) {
  for (const MemoryFrame* one : {&known, &flooded}) decide(*one);
  const std::size_t before = allocations;
  for (const MemoryFrame* one : {&known, &flooded}) {
    const Verdict& verdict = decide(*one);
    EXPECT_FALSE(verdict.sends.empty());
    EXPECT_FALSE(verdict.copies.empty());
  }
  EXPECT_EQ(allocations, before);
}

TEST_F(Deciding, TheTestItselfSeesAllocations) {
  Trace trace;
  const std::size_t before = allocations;
  decide(known, &trace);
  EXPECT_GT(allocations, before);
}

TEST_F(Deciding, ATraceChangesNothingButTellsOfSessionsThatArePassedOver) {
  const std::size_t copies = decide(known).copies.size();
  Trace trace;
  EXPECT_EQ(decide(known, &trace).copies.size(), copies);
  ASSERT_EQ(trace.tests.size(), 3U);
  EXPECT_EQ(trace.tests[2].result, Trace::Result::vlan_not_selected);
}

std::vector<SessionIndex> visited(const Candidates& candidates, VlanId vlan, const FlowKey& key = {}) {
  std::vector<SessionIndex> sessions, found;
  candidates.visit(
      vlan, [&key]() -> const FlowKey& { return key; }, found,
      [&sessions](SessionIndex session) { sessions.push_back(session); });
  return sessions;
}

TEST(Candidates, AreVisitedInOrderIfTheyMaySelectTheVlan) {
  std::vector<VlanId> many(17);
  std::iota(many.begin(), many.end(), VlanId{100});
  Candidates candidates;
  EXPECT_TRUE(candidates.empty());
  candidates.add(1, {10, 10}, nullptr);
  candidates.add(2, {}, nullptr);
  candidates.add(2, {}, nullptr);
  candidates.add(5, {13, 10}, nullptr);
  candidates.add(6, many, nullptr);
  candidates.add(9, {}, nullptr);
  candidates.finish();
  EXPECT_EQ(visited(candidates, 10), (std::vector<SessionIndex>{1, 2, 5, 6, 9}));
  EXPECT_EQ(visited(candidates, 13), (std::vector<SessionIndex>{2, 5, 6, 9}));
  EXPECT_EQ(visited(candidates, 0), (std::vector<SessionIndex>{2, 6, 9}))
      << "6 selects too many for the index";
  EXPECT_EQ(candidates.all(), (std::vector<SessionIndex>{1, 2, 5, 6, 9}));
}

TEST(Candidates, AreVisitedInOrderIfTheirFiltersMayMatch) {
  const auto rules = [](std::vector<std::string> matches) {
    FilterRules made;
    for (const std::string& match : matches) made.filter.push_back(*Match::parse(match).match);
    return made;
  };
  const FilterRules web = rules({"tcp,tp_dst=80", "tcp,tp_src=80"});
  const FilterRules other_web = rules({"tcp,tp_dst=8080"});
  const FilterRules net = rules({"ip,nw_src=10.0.0.0/8"});
  const FilterRules ports = rules({"tcp,tp_dst=79-81"});
  FilterRules only_skips;
  only_skips.skip.push_back(*Match::parse("arp").match);
  Candidates candidates;
  candidates.add(1, {}, &net);
  candidates.add(2, {}, nullptr);
  candidates.add(3, {7}, &web);
  candidates.add(4, {}, &other_web);
  candidates.add(5, {}, &ports);
  candidates.add(6, {7}, &only_skips);
  candidates.finish();
  FlowKey key;
  key.set_number(key_slot::kEthType, 0x0800);
  key.set_number(key_slot::kProtocol, 6);
  key.set_number(key_slot::kIpv4Src, 0x0a010203);
  key.set_number(key_slot::kDstPort, 80);
  EXPECT_EQ(visited(candidates, 7, key), (std::vector<SessionIndex>{1, 2, 3, 5, 6}));
  EXPECT_EQ(visited(candidates, 8, key), (std::vector<SessionIndex>{1, 2, 5})) << "a range is for all ports";
  EXPECT_EQ(visited(candidates, 7), (std::vector<SessionIndex>{2, 6}));
}

}  // namespace
}  // namespace vswitch::test
