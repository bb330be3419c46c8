// SPDX-License-Identifier: Apache-2.0
// Queries of the running switch between two walks. They change nothing but learned addresses.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datapath/engine/datapath.h"
#include "switchd/bridge/captures.h"
#include "switchd/bridge/recorders.h"
#include "switchd/bridge/switch_status.h"
#include "switchd/bridge/switch_view.h"
#include "switchd/model/datapath_settings.h"

namespace vswitch::bridge {

class SwitchQueries final : public FdbView, public CountersView, public DatapathView {
 public:
  using ResetCounters = std::function<void(const std::vector<ovsdb::Uuid>& mirrors)>;

  /// All must outlive it. `settings`: those in effect. `no_fast_path`: why the datapath has none. `reset_counters`:
  /// see CountersView.
  SwitchQueries(const SwitchStatus& status, const Datapath& datapath, const model::DatapathSettings& settings,
                const std::string& no_fast_path, Captures& captures, Recorders& recorders,
                ResetCounters reset_counters)
      : status_(status),
        datapath_(datapath),
        settings_(settings),
        no_fast_path_(no_fast_path),
        captures_(captures),
        recorders_(recorders),
        reset_counters_(std::move(reset_counters)) {}

  std::vector<FdbEntry> fdb(const std::string& bridge) override;
  std::size_t flush_fdb(const std::string& bridge) override;
  bool pin_fdb(const std::string& bridge, const std::string& port, VlanId vlan, const MacAddr& mac) override;
  bool unpin_fdb(const std::string& bridge, VlanId vlan, const MacAddr& mac) override;
  FdbStatistics fdb_statistics(const std::string& bridge) override;
  void clear_fdb_statistics(const std::string& bridge) override;

  CounterMap mirror_counters(const ovsdb::Uuid& mirror) override;
  std::map<std::string, CounterMap> destination_counters(const ovsdb::Uuid& mirror) override;
  void reset_mirror_counters(const std::vector<ovsdb::Uuid>& mirrors) override { reset_counters_(mirrors); }
  std::string mirror_notice(const ovsdb::Uuid& mirror) override;
  CounterMap interface_counters(const ovsdb::Uuid& interface) override;
  CounterMap drops() override;

  std::optional<std::uint32_t> datapath_number(const std::string& bridge, const std::string& port) override;
  BoundSources bound_sources(const ovsdb::Uuid& mirror) override;
  std::string add_capture(const ovsdb::Uuid& mirror, UniqueFd socket) override;
  std::optional<Recording> recording(const ovsdb::Uuid& mirror) override;
  std::string dump_record(const ovsdb::Uuid& mirror, UniqueFd socket, bool clear, Recording& held) override;
  std::size_t workers() override;
  DatapathState datapath_state() override;

  /// See ExplainView::explain().
  std::optional<Explanation> explain(const std::string& bridge, const std::string& in_port,
                                     std::span<const std::uint8_t> frame) const;

 private:
  /// Counters include what the kernel has counted until now.
  void collect_copies() const;
  void collect_port(const std::string& bridge, const std::string& port) const;
  void collect_ports() const;

  const SwitchStatus status_;
  const Datapath& datapath_;
  const model::DatapathSettings& settings_;
  const std::string& no_fast_path_;
  Captures& captures_;
  Recorders& recorders_;
  const ResetCounters reset_counters_;
};

}  // namespace vswitch::bridge
