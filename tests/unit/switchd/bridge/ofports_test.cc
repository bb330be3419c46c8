// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/ofports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace vswitch::bridge {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Ge;

struct Case {
  std::string name;
  std::vector<OfportRequest> interfaces;
  std::vector<std::int64_t> picked;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

OfportRequest fresh(std::optional<std::int64_t> requested = std::nullopt) {
  return {.present = std::nullopt, .requested = requested};
}
OfportRequest has(std::int64_t present, std::optional<std::int64_t> requested = std::nullopt) {
  return {.present = present, .requested = requested};
}
OfportRequest local(OfportRequest request) {
  request.is_local = true;
  return request;
}
OfportRequest failed(OfportRequest request) {
  request.is_port = false;
  return request;
}

class PickOfports : public testing::TestWithParam<Case> {};

TEST_P(PickOfports, PicksAsDocumented) {
  EXPECT_EQ(pick_ofports(GetParam().interfaces), GetParam().picked);
}

INSTANTIATE_TEST_SUITE_P(
    All, PickOfports,
    testing::ValuesIn(std::vector<Case>{
        {"Nothing", {}, {}},
        {"NewPortsCountFrom1", {fresh(), fresh(), fresh()}, {1, 2, 3}},
        {"PortsKeepTheirNumbers", {has(7), has(3), has(12)}, {7, 3, 12}},
        {"NewPortsFillTheGaps", {has(2), fresh(), has(4), fresh(), fresh()}, {2, 1, 4, 3, 5}},
        {"ARequestIsGranted", {fresh(20), fresh(10)}, {20, 10}},
        {"AChangedRequestIsGranted", {has(1, 9), has(2)}, {9, 2}},
        {"ARequestGoesBeforeANewPort", {fresh(), fresh(1)}, {2, 1}},
        {"ARequestDoesNotTakeTheNumberOfAnother", {has(1), has(2, 1)}, {1, 2}},
        {"ANewPortWhoseRequestFailsGetsTheLowest", {has(5), fresh(5), fresh(5)}, {5, 1, 2}},
        {"TheHolderGoesBeforeOthersThatRequestIt", {fresh(6), has(6, 6)}, {1, 6}},
        {"TheFirstOfTwoRequestsIsGranted", {has(1, 8), has(2, 8)}, {8, 2}},
        {"TwoPortsSwapTheirNumbersByRequest", {has(1, 2), has(2, 1)}, {2, 1}},
        {"TheFirstOfTwoThatHaveTheSameNumberKeepsIt", {has(4), has(4)}, {4, 1}},
        {"ANumberThatIsFreedIsFreeAtOnce", {has(1, 9), fresh()}, {9, 1}},
        {"TheLocalPortIsLocalWhateverItRequests",
         {local(fresh(3)), local(has(65534)), fresh()},
         {kLocalOfport, kLocalOfport, 1}},
        {"AFailedInterfaceHasNone",
         {failed(fresh()), failed(fresh(4)), local(failed(fresh())), fresh()},
         {-1, -1, -1, 1}},
        {"AFailedInterfaceKeepsItsNumberFromOthers", {failed(has(1)), fresh()}, {-1, 2}},
        {"AFailedInterfaceComesBack", {has(-1), has(1)}, {2, 1}},
        {"NumbersThatOpenFlowReservesAreNotKept", {has(65280), has(65534), has(0)}, {1, 2, 3}},
        {"TheLastNumberIsOne", {fresh(65279), has(65279), has(65278)}, {1, 65279, 65278}},
    }),
    [](const testing::TestParamInfo<Case>& one) { return one.param.name; });

TEST(PickOfportsTest, PortsBeyondTheLastNumberGetNone) {
  std::vector<OfportRequest> interfaces(static_cast<std::size_t>(kMaxOfport) - 1);
  interfaces.insert(interfaces.begin(), {has(3), local(fresh())});
  interfaces.push_back(fresh());
  interfaces.push_back(fresh(3));
  const std::vector<std::int64_t> picked = pick_ofports(interfaces);
  const std::vector<std::int64_t> last(picked.end() - 3, picked.end());
  EXPECT_THAT(last, ElementsAre(kMaxOfport, kNoOfport, kNoOfport));
  EXPECT_THAT(std::vector<std::int64_t>(picked.begin(), picked.end() - 2), Each(Ge(1)));
  EXPECT_EQ(picked[1], kLocalOfport);
}

}  // namespace
}  // namespace vswitch::bridge
