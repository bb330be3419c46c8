// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/switch.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "datapath/base/socket_buffer.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/engine/datapath.h"
#include "datapath/snapshot/compile.h"
#include "datapath/snapshot/registry.h"
#include "switchd/base/log.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/base/wall_clock.h"
#include "switchd/bridge/account_file.h"
#include "switchd/bridge/attachments.h"
#include "switchd/bridge/captures.h"
#include "switchd/bridge/datapath_start.h"
#include "switchd/bridge/desired.h"
#include "switchd/bridge/endpoints.h"
#include "switchd/bridge/frame_waiters.h"
#include "switchd/bridge/identity.h"
#include "switchd/bridge/ofports.h"
#include "switchd/bridge/session_state.h"
#include "switchd/bridge/statistics.h"
#include "switchd/bridge/status.h"
#include "switchd/bridge/switch_queries.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "switchd/netlink/egress_monitor.h"
#include "switchd/netlink/host_isolation.h"
#include "switchd/netlink/link_monitor.h"
#include "switchd/netlink/route_monitor.h"
#include "switchd/netlink/tc_monitor.h"

namespace vswitch::bridge {

namespace {

const log::Module kBridgeLog{"bridge"};

constexpr std::chrono::seconds kHousekeeping{1};
// For copies that still need a removed device, so that it is the host's again as a whole (promiscuous mode) when
// its removal is acknowledged: normally microseconds. If a mirror thread does not run for so long, housekeeping
// closes it.
constexpr std::chrono::milliseconds kDrainPatience{100};
constexpr std::int64_t kDefaultStatsIntervalMs = 5000;  // Open vSwitch's default for stats-update-interval
constexpr std::int64_t kMinStatsIntervalMs = 1000;

}  // namespace

class Switch::Impl {
 public:
  Impl(boost::asio::io_context& io, ovsdb::Database& database, SwitchOptions options)
      : io_(io),
        database_(database),
        links_(io, [this](const std::vector<std::string>& names) { links_changed(names); }),
        routes_(io, links_, [this] { routes_changed(); }),
        endpoints_(routes_),
        egress_(io, [this] { egress_changed(); }),
        worker_option_(options.workers),
        settings_(settings_at_start(database, options.workers, processors_)),
        fast_path_(start_fast_path(settings_, options.kernel_fast_path, no_fast_path_)),
        isolation_(options.rundir, fast_path_ == nullptr ? -1 : fast_path_->programs().ingress()),
        datapath_(start_datapath(
            settings_, fast_path_.get(), [this] { frame_caught(); }, trouble_at_start_)),
        registry_(
            datapath_->counting(), datapath_->workers(), [this] { quota_used_up(); }, fast_path_.get()),
        internal_devices_(io, links_, options.rundir,
                          [this] {
                            roles::control.assert_held();
                            if (attachments_.look_elsewhere()) request_apply();
                          }),
        tc_monitor_(io,
                    [this](const std::set<int>& ifindexes) {
                      roles::control.assert_held();
                      if (attachments_.look_at_isolation(ifindexes)) request_apply();
                    }),
        attachments_(links_, isolation_, fast_path_ == nullptr ? -1 : fast_path_->programs().filter(),
                     egress_, internal_devices_, endpoints_, datapath_->senders(),
                     datapath_->senders() - datapath_->workers(),
                     [this] { post([this]() REQUIRES(roles::control) { apply(); }); }),
        timer_(io),
        accounts_(std::move(options.accounts)),
        next_end_(io, [this] {
          roles::control.assert_held();
          request_apply();
        }) {
    if (fast_path_ == nullptr) log::info(kBridgeLog, "no fast path in the kernel: {}", no_fast_path_);
    clean_leftovers();
    resume_accounts();
    if (const std::string limits = buffer_limits(); !limits.empty()) log::warn(kBridgeLog, "{}", limits);
    listener_ = database_.on_commit([this](const ovsdb::Changes& changes) {
      roles::control.assert_held();
      if (!std::exchange(own_commit_, false))
        request_apply(concern_of(changes, desired_.reads_interface_ids));
    });
    request_apply();
    schedule_housekeeping();
  }

  ~Impl() {
    database_.remove_listener(listener_);
    // User space forwards until no ports remain: without its tc programs the kernel would lose what its filters take.
    if (fast_path_ != nullptr) fast_path_->pause(fastpath::Pause::setting, true);
    // The host gets its devices back, then the datapath releases them.
    desired_ = {};
    endpoints_.reconcile(desired_);
    attachments_.release_all(removes_internal_);
    const SnapshotRegistry::Sessions sessions =
        registry_.sessions();  // until their last copies have been sent
    publish();
    if (fast_path_ != nullptr) fast_path_->collect_copies();
    accounts_.save(totals_of(sessions, registry_.resumed()), steady_now());
  }

  void when_applied(std::function<void()> done) REQUIRES(roles::control) {
    if (requested_ == Concern::nothing && !under_way_) return done();
    (outdated_ ? waiting_for_next_ : waiting_).push_back(std::move(done));
  }

  void remove_internal_devices_at_end() { removes_internal_ = true; }

  SwitchView view(AppliedView& applied) { return {applied, queries_, queries_, queries_, waiters_}; }
  std::size_t queued_copy_bytes() const { return datapath_->queued_copy_bytes(); }

 private:
  void clean_leftovers() {
    try {
      for (const std::string& line : isolation_.clean_leftovers()) log::info(kBridgeLog, "{}", line);
    } catch (const std::runtime_error& error) {
      log::warn(kBridgeLog, "devices may still be isolated from the host's stack: {}", error.what());
    }
  }

  /// Those of sessions that have been deleted meanwhile are forgotten.
  void resume_accounts() REQUIRES(roles::control) {
    AccountTotals accounts = accounts_.load();
    std::erase_if(accounts, [this](const auto& item) {
      const auto uuid = ovsdb::Uuid::parse(item.first);
      return !uuid || database_.find("Mirror", *uuid) == nullptr;
    });
    registry_.resume(std::move(accounts));
  }

  void links_changed(const std::vector<std::string>& names) {
    roles::control.assert_held();
    const bool concerns_us = std::any_of(names.begin(), names.end(), [this](const std::string& name) {
      const Attachment* attachment = attachments_.find(name);
      // A failed attempt to open a device is also reported; the next one is due with the statistics.
      if (attachment != nullptr)
        return !(attachment->type == InterfaceType::internal && attachment->is(AttachmentState::failed));
      return attachments_.has_renamed(name);
    });
    if (concerns_us) request_apply();
  }

  /// Neighbours change all the time: a change that does not concern us costs one query to the kernel.
  void routes_changed() {
    roles::control.assert_held();
    links_.sync();
    if (endpoints_.refresh()) request_apply();
  }

  void egress_changed() {
    roles::control.assert_held();
    if (attachments_.is_egress_outdated()) request_apply();
  }

  /// Called on a worker's thread.
  void frame_caught() {
    post([this]() REQUIRES(roles::control) { waiters_.frames_caught(); });
  }

  /// Called on a worker's thread.
  void quota_used_up() {
    post([this]() REQUIRES(roles::control) { request_apply(); });
  }

  /// Posts to the control thread, from any thread; does nothing after the end of the switch.
  template <typename Work>
  void post(Work work) {
    boost::asio::post(io_, [work, alive = std::weak_ptr(alive_)] {
      roles::control.assert_held();
      if (alive.lock()) work();
    });
  }

  /// Some turns of the event loop later: a client takes one turn to be accepted, one to be read and one to be
  /// answered.
  template <typename Work>
  void after_clients(Work work, int turns = 4) REQUIRES(roles::control) {
    post([this, work, turns] {
      roles::control.assert_held();
      turns > 1 ? after_clients(work, turns - 1) : work();
    });
  }

  void request_apply(Concern concern = Concern::settings) REQUIRES(roles::control) {
    if (concern == Concern::nothing) return;
    if (under_way_) {
      outdated_ = true;
      return;
    }
    const Concern before = std::exchange(requested_, std::max(requested_, concern));
    if (before != Concern::nothing) return;
    post([this] {
      roles::control.assert_held();
      requested_ == Concern::settings ? apply() : report_next_cfg();
    });
  }

  void applied() REQUIRES(roles::control) {
    for (const auto& done : std::exchange(waiting_, std::exchange(waiting_for_next_, {}))) done();
    if (std::exchange(outdated_, false)) request_apply();
  }

  /// Nothing to do except to report that.
  void report_next_cfg() REQUIRES(roles::control) {
    requested_ = Concern::nothing;
    const ovsdb::Row* root = desired_.root ? database_.find("Open_vSwitch", *desired_.root) : nullptr;
    if (root == nullptr) return apply();
    desired_.next_cfg = root->integer("next_cfg").value_or(0);
    write([this](ovsdb::Transaction& transaction) {
      write_next_cfg(*desired_.root, desired_.next_cfg, transaction);
    });
    applied();
  }

  void reset_counters(const std::vector<ovsdb::Uuid>& mirrors) REQUIRES(roles::control) {
    counters_to_reset_.insert(counters_to_reset_.end(), mirrors.begin(), mirrors.end());
    accounts_.ask();
    request_apply();
  }

  void begin_apply() REQUIRES(roles::control) {
    links_.sync();  // so that a command sees a device that was created just before it
    under_way_ = read_desired(database_, wall_now_ms());
    apply_settings(*under_way_);
    endpoints_.reconcile(*under_way_);
  }

  /// A failure here is our fault or the machine's, never that of the last commit: it is logged, and the
  /// switch goes on as it is. Devices may take several turns of the event loop to open; commits made
  /// meanwhile are applied afterwards, so that this ends however fast commits come. There may be much to do
  /// at the start: clients that only want the database are answered between the steps.
  void apply() REQUIRES(roles::control) {
    requested_ = Concern::nothing;
    try {
      if (!under_way_) {
        begin_apply();
        if (!std::exchange(begun_before_, true))
          return after_clients([this]() REQUIRES(roles::control) { apply(); });
      }
      if (!attachments_.reconcile(*under_way_)) return;  // it makes sure that apply() is called again
      desired_ = std::move(*under_way_);
      under_way_.reset();
      next_end_.set(desired_.next_end);
      ofports_ = pick_ofports(desired_, attachments_, database_);
      publish();
      shared_devices_.look(desired_, attachments_, false);
      write([this](ovsdb::Transaction& transaction) {
        // Only once: if another program writes different ones later, as ovs-ctl does, they stay.
        if (desired_.root && std::exchange(versions_in_, desired_.root) != desired_.root)
          write_versions(*desired_.root, transaction);
        write_identity(desired_, attachments_, transaction);
        write_status(status_, transaction);
        if (!std::exchange(counters_to_reset_, {}).empty()) write_statistics(status_, transaction);
        if (desired_.root) write_next_cfg(*desired_.root, desired_.next_cfg, transaction);
      });
    } catch (const std::bad_alloc&) {
      log::err(kBridgeLog, "there was too little memory to apply the settings; trying again");
      under_way_.reset();
      short_of_memory_ = true;
      memory::refill_reserve();
    } catch (const std::exception& error) {
      log::err(kBridgeLog, "the settings could not be applied: {}", error.what());
      under_way_.reset();
    }
    applied();
  }

  void apply_settings(const Desired& desired) REQUIRES(roles::control) {
    const ovsdb::Row* root = desired.root ? database_.find("Open_vSwitch", *desired.root) : nullptr;
    if (root == nullptr) return;
    model::DatapathSettings asked = model::read_datapath_settings(*root, processors_);
    const model::DatapathSettings::AtStart& now = settings_.at_start;
    if (worker_option_ != 0 || asked.at_start.worker_threads == 0)
      asked.at_start.worker_threads = now.worker_threads;
    if (asked.at_start != now) {
      asked.complaints.push_back(trouble_at_start_.empty()
                                     ? "Open_vSwitch other_config: changes of worker-threads, mirror-threads "
                                       "and mirror-queue-kib take effect when "
                                       "vswitchd restarts"
                                     : trouble_at_start_);
    }
    for (const std::string& complaint : asked.complaints) {
      const auto& known = settings_.complaints;
      if (std::find(known.begin(), known.end(), complaint) == known.end())
        log::warn(kBridgeLog, "{}", complaint);
    }
    asked.at_start = now;
    settings_ = std::move(asked);
    if (fast_path_ != nullptr) fast_path_->pause(fastpath::Pause::setting, !settings_.kernel_fast_path);
    attachments_.set_port_settings(settings_.ports);
  }

  void publish() REQUIRES(roles::control) {
    SwitchSpec spec{.bridges = {}, .work = settings_.work};
    std::vector<std::vector<DesiredSession>> asked;
    recorders_.reconcile(wanted_recorders());
    for (const DesiredBridge& bridge : desired_.bridges) {
      spec.bridges.push_back(bridge.spec);
      for (PortSpec& port : spec.bridges.back().ports) add_device(port);
      asked.push_back(bridge.sessions);
      add_endpoints(bridge, spec.bridges.back(), asked.back());
      add_captures(asked.back());
      add_recorders(asked.back());
    }
    sessions_ = session_states_.decide(asked, desired_.now_ms, spec);
    registry_.update(spec);
    for (const ovsdb::Uuid& mirror : counters_to_reset_) registry_.restart_account(mirror.to_string());
    std::unique_ptr<Snapshot> snapshot = compile(spec, registry_);
    spec = {};  // from here on only the snapshots decide how long a device is needed
    datapath_->publish(std::move(snapshot));
    registry_.finish();
    captures_.remove_unused(database_);
    close_retired(kDrainPatience);
  }

  void add_captures(std::vector<DesiredSession>& sessions) {
    for (DesiredSession& session : sessions) {
      if (!session.wants_capture) continue;
      const auto uuid = ovsdb::Uuid::parse(session.id);
      if (uuid) session.capture = captures_.find(*uuid);
      if (session.capture == nullptr)
        session.refusal = "the program that captured has ended: `vswitch-ctl capture` makes such sessions";
    }
  }

  Recorders::Wanted wanted_recorders() const {
    Recorders::Wanted wanted;
    for (const DesiredBridge& bridge : desired_.bridges) {
      for (const DesiredSession& session : bridge.sessions) {
        const auto uuid = ovsdb::Uuid::parse(session.id);
        if (uuid && session.record.bytes != 0) wanted[*uuid] = session.record;
      }
    }
    return wanted;
  }

  void add_recorders(std::vector<DesiredSession>& sessions) {
    for (DesiredSession& session : sessions) {
      const auto uuid = ovsdb::Uuid::parse(session.id);
      if (!uuid || session.record.bytes == 0) continue;
      if (session.refusal.empty()) session.refusal = recorders_.trouble(*uuid);
      session.capture = recorders_.find(*uuid);
    }
  }

  void add_device(PortSpec& port) {
    const Attachment* attachment = attachments_.find(port.name);
    const netlink::Link* link = attachments_.link(port.name);
    port.device = attachment->device();
    port.endpoint = attachment->endpoint();
    if (!has_device(attachment->type)) return;
    const bool carries =
        link != nullptr && link->up && (link->carrier || attachment->type == InterfaceType::internal);
    port.link_up = port.device != nullptr && carries;
    if (port.device != nullptr) port.device->set_link(link == nullptr || carries);
    port.mtu = link == nullptr ? 0 : link->mtu;
    port.on_ordinary_path = !attachment->egress.empty();
    port.no_host = attachment->type == InterfaceType::internal && link != nullptr && !link->up;
  }

  void add_endpoints(const DesiredBridge& bridge, BridgeSpec& spec, std::vector<DesiredSession>& sessions) {
    for (std::size_t i = 0; i < bridge.interfaces.size(); ++i) {
      const Endpoints::Entry* entry = endpoints_.find(bridge.interfaces[i].row);
      if (entry == nullptr) continue;
      spec.ports[i].tunnel_source = entry->route.source;
      spec.ports[i].tunnel_trouble = entry->trouble();
    }
    for (std::size_t i = 0; i < bridge.endpoints.size(); ++i) {
      for (const DesiredEndpoint& desired : bridge.endpoints[i]) {
        const Endpoints::Entry* entry = endpoints_.find(desired.row);
        if (entry == nullptr) continue;
        sessions[i].endpoints.push_back({.name = desired.row.to_string(),
                                         .label = desired.label,
                                         .endpoint = entry->endpoint,
                                         .source = entry->route.source,
                                         .trouble = entry->trouble()});
      }
    }
  }

  /// Closes devices that are not ports any more as soon as no queued copy needs them: now, or from
  /// housekeeping.
  void close_retired(std::chrono::milliseconds patience) REQUIRES(roles::control) {
    const bool unused =
        datapath_->free_old_snapshots(attachments_.has_retired() ? patience : std::chrono::milliseconds(0));
    if (unused) attachments_.close_retired();
  }

  template <typename Fill>
  void write(Fill fill) {
    ovsdb::Transaction transaction(database_);
    fill(transaction);
    own_commit_ = true;
    std::optional<ovsdb::Error> error;
    try {
      error = transaction.commit();
    } catch (...) {
      own_commit_ = false;  // or the next commit of a client would pass for ours
      throw;
    }
    own_commit_ = false;  // nothing had changed, so no listener consumed it
    if (error)
      log::err(kBridgeLog, "the state of the switch could not be written to the database: {}", error->what());
  }

  std::int64_t stats_interval_ms() const {
    if (!desired_.root) return kDefaultStatsIntervalMs;
    const ovsdb::Row* root = database_.find("Open_vSwitch", *desired_.root);
    const std::string* text =
        root != nullptr ? root->value("other_config", "stats-update-interval") : nullptr;
    std::int64_t value = kDefaultStatsIntervalMs;
    if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), value);
    return std::max(value, kMinStatsIntervalMs);
  }

  void schedule_housekeeping() {
    timer_.expires_after(kHousekeeping);
    timer_.async_wait([this](const boost::system::error_code& error) {
      roles::control.assert_held();
      if (!error) housekeeping();
    });
  }

  void housekeeping() REQUIRES(roles::control) {
    schedule_housekeeping();  // first: whatever fails below is tried again
    if (std::exchange(short_of_memory_, false)) request_apply();
    const TimeNs now = steady_now();
    for (const DesiredBridge& bridge : desired_.bridges) {
      if (const auto macs = registry_.macs(bridge.spec.name)) macs->sweep(now);
    }
    if (fast_path_ != nullptr) fast_path_->housekeeping(now);
    if (!under_way_) close_retired(std::chrono::milliseconds(0));
    if (accounts_.is_due(now)) accounts_.save(totals_of(registry_.sessions(), registry_.resumed()), now);
    attachments_.poll();
    if (attachments_.look_elsewhere() || attachments_.look_at_some_isolation()) request_apply();
    if (endpoints_.poll()) request_apply();
    if (now - statistics_written_ >= stats_interval_ms() * (kSecondNs / 1000)) {
      statistics_written_ = now;
      if (!under_way_ && shared_devices_.look(desired_, attachments_, true)) request_apply();
      write([this](ovsdb::Transaction& transaction) {
        write_statistics(status_, transaction);
        write_session_status(status_, transaction);  // its notices depend on counters
      });
      if (attachments_.wants_retry()) request_apply();
    }
  }

  boost::asio::io_context& io_;
  ovsdb::Database& database_;
  netlink::LinkMonitor links_;
  netlink::RouteMonitor routes_;
  Endpoints endpoints_;
  netlink::EgressMonitor egress_;
  const std::vector<unsigned> processors_ = allowed_processors();
  const std::size_t worker_option_;
  model::DatapathSettings settings_;  ///< the settings in effect; at_start as of the start
  std::string trouble_at_start_;
  std::string no_fast_path_;  ///< why there is none
  const std::unique_ptr<fastpath::FastPath> fast_path_;
  netlink::HostIsolation isolation_;
  const std::unique_ptr<Datapath> datapath_;
  SnapshotRegistry registry_;
  SessionStates session_states_{[this](const std::string& id, const QuotaSpec& quota, std::uint64_t life) {
    return registry_.is_used_up(id, quota, life);
  }};
  InternalDevices internal_devices_;
  netlink::TcMonitor tc_monitor_;
  Attachments attachments_;
  boost::asio::steady_timer timer_;
  AccountFile accounts_;
  WallTimer next_end_;  ///< of a session
  ovsdb::Database::ListenerId listener_ = 0;

  Desired desired_;
  Ofports ofports_;
  std::vector<SessionStatus> sessions_;
  std::optional<Desired> under_way_;  ///< what apply() is working on, over several turns of the event loop
  bool outdated_ = false;             ///< and a newer configuration exists
  bool short_of_memory_ = false;      ///< the last apply() gave up for this reason
  bool begun_before_ = false;         ///< this is not the first time
  bool removes_internal_ = false;     ///< at the end
  std::vector<std::function<void()>> waiting_;
  std::vector<std::function<void()>> waiting_for_next_;
  Concern requested_ = Concern::nothing;  ///< of an apply() that has been posted
  bool own_commit_ =
      false;  ///< the next commit reported is our own; commits that others make in response are not
  TimeNs statistics_written_ = 0;
  netlink::HostAddressCache host_addresses_;
  SharedDevices shared_devices_;
  Captures captures_;
  Recorders recorders_{io_};
  const SwitchStatus status_{desired_,  attachments_, endpoints_,      links_,          registry_,
                             sessions_, ofports_,     host_addresses_, shared_devices_, recorders_};
  SwitchQueries queries_{status_,
                         *datapath_,
                         settings_,
                         no_fast_path_,
                         captures_,
                         recorders_,
                         [this](const std::vector<ovsdb::Uuid>& mirrors) {
                           roles::control.assert_held();
                           reset_counters(mirrors);
                         }};
  FrameWaiters waiters_{io_, datapath_->next_frames(), queries_};
  std::vector<ovsdb::Uuid> counters_to_reset_;  ///< of sessions, when the settings are applied next
  std::optional<ovsdb::Uuid> versions_in_;      ///< the Open_vSwitch row that contains our versions
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Switch::Switch(boost::asio::io_context& io, ovsdb::Database& database, SwitchOptions options)
    : impl_(std::make_unique<Impl>(io, database, std::move(options))) {}

Switch::~Switch() = default;

void Switch::remove_internal_devices_at_end() {
  impl_->remove_internal_devices_at_end();
}

void Switch::when_applied(std::function<void()> done) {
  roles::control.assert_held();
  impl_->when_applied(std::move(done));
}

SwitchView Switch::view() {
  return impl_->view(*this);
}

std::size_t Switch::queued_copy_bytes() const {
  return impl_->queued_copy_bytes();
}

}  // namespace vswitch::bridge
