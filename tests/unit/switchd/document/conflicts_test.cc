// SPDX-License-Identifier: Apache-2.0
// Conflicts found by port are those that all pairs have.
#include "switchd/document/conflicts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

namespace vswitch::document {
namespace {

constexpr std::int64_t kNow = 1000;

class Sessions {
 public:
  explicit Sessions(unsigned seed) : engine_(seed) {}

  model::MirrorSettings next() {
    model::MirrorSettings session;
    session.name = "m" + std::to_string(++made_);
    for (int i = below(3); i > 0; --i)
      session.source_ports[port()] = kDirections[static_cast<std::size_t>(below(3))];
    for (int i = 1 + below(2); i > 0; --i) session.destination_ports.insert(port());
    session.normal_io = below(3) == 0;
    session.enabled = below(6) != 0;
    if (below(6) == 0) session.output_vlan = 7;
    if (below(6) == 0) session.expires_at = kNow - 1 + below(3);
    return session;
  }

 private:
  static constexpr std::array<const char*, 3> kDirections = {"from", "to", "both"};
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(engine_); }
  std::string port() { return "p" + std::to_string(below(5)); }

  std::mt19937 engine_;
  int made_ = 0;
};

TEST(ConflictsTest, FindsWhatComparingAllPairsFinds) {
  std::size_t found = 0, free = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    Sessions sessions(seed);
    std::vector<model::MirrorSettings> others;
    for (int i = 0; i < 4; ++i) others.push_back(sessions.next());
    Conflicts conflicts(kNow);
    for (const model::MirrorSettings& other : others) conflicts.add(other);
    const model::MirrorSettings session = sessions.next();
    const bool expected = std::any_of(others.begin(), others.end(), [&](const model::MirrorSettings& other) {
      return model::problem_beside(session, other, kNow).has_value();
    });
    EXPECT_EQ(conflicts.with(session).has_value(), expected) << "seed " << seed;
    ++(expected ? found : free);
  }
  EXPECT_GT(found, 50u);
  EXPECT_GT(free, 50u);
}

}  // namespace
}  // namespace vswitch::document
