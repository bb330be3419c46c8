// SPDX-License-Identifier: Apache-2.0
// What has happened to the switch, told as it happens and remembered for a while.
//
//     commit -> observer.cc: events -> sentence.cc: the log
//                                   -> the last 10,000, in memory and in a file (event_file.h)
//                                   -> listeners: notifications of the session API
//
// Losses are counted in the database every few seconds. Listeners hear of each count; the log and the last
// events have the first loss of a session at once, and from then on one sum a minute.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "switchd/db/database.h"
#include "switchd/history/event.h"
#include "switchd/history/event_file.h"
#include "switchd/history/observer.h"

namespace vswitch::history {

inline constexpr std::int64_t kLossPeriodMs = 60'000;
// Refusals that become events: a client that repeats what is refused must not push everything else out.
inline constexpr int kRefusalBurst = 60;
inline constexpr int kRefusalsPerMinute = 20;

struct Clocks {
  std::function<std::int64_t()> wall_ms;    ///< since 1970
  std::function<std::int64_t()> steady_ms;  ///< from anywhere
};
Clocks real_clocks();

/// Copies lost, in all and by cause.
struct Losses {
  std::int64_t lost = 0;
  std::map<std::string, std::int64_t> by;

  void add(const Json& event);
  Json to_json() const;
};

/// Bridge and name of a session.
using Place = std::pair<std::string, std::string>;

class History {
 public:
  /// Takes the event as it is sent: with number (null: not kept) and time.
  using Listener = std::function<void(const std::string& topic, const Json& params)>;

  /// `file` keeps the events over restarts; empty: they are in memory only.
  History(boost::asio::io_context& io, ovsdb::Database& database, const std::string& file,
          Clocks clocks = real_clocks());
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  /// Listeners cannot be removed: they live as long as this.
  void on_event(Listener listener) { listeners_.push_back(std::move(listener)); }

  /// A request to change something was refused. `what`: its method.
  void refused(const std::string& who, const std::string& what, const std::string& reason);
  /// The daemon starts or ends.
  void daemon(const std::string& state, const std::string& reason);

  /// Those of an earlier daemon are there once when_loaded() has called back.
  const std::deque<Kept>& events() const { return events_; }
  /// Calls back when the file has been read: now, or soon.
  void when_loaded(std::function<void()> done);
  std::uint64_t last() const { return next_ - 1; }
  /// Why events would not outlive the daemon, as a sentence; empty if they do.
  std::string trouble() const { return file_ == nullptr ? std::string() : file_->trouble(); }
  std::int64_t now_ms() const { return clocks_.wall_ms(); }
  /// Of sessions that lost copies within the last minute, as far as they are counted in the database.
  std::map<Place, Losses> recent_losses();

  /// Tells of losses whose time has come. The timer of the event loop calls it.
  void look_at_losses();

 private:
  struct Session {
    std::deque<std::pair<std::int64_t, Losses>> recent;  ///< by steady time, for recent_losses()
    Losses untold;
    std::int64_t told_at = 0;  ///< steady time
    std::int64_t since = 0;    ///< of `untold`, steady time
    bool was_told = false;
  };
  using Sessions = std::map<Place, Session>;

  void load(boost::asio::io_context& io, const std::string& file);
  void loaded(std::vector<Kept> earlier);
  void forget_oldest();
  void committed(const ovsdb::Changes& changes);
  void tell(std::vector<Event> events);
  void tell(const Event& event);
  /// As it is sent, without a number.
  Json dated(const Event& event) const;
  /// Returns the number that it gets.
  std::uint64_t keep(const Event& event, Json line);
  void count(const Event& loss);
  void tell_losses(Sessions::iterator session);
  void schedule_look();

  ovsdb::Database& database_;
  const Clocks clocks_;
  Observer observer_;
  ovsdb::Database::ListenerId listener_;
  std::vector<Listener> listeners_;
  std::deque<Kept> events_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 1;
  Sessions sessions_;
  boost::asio::steady_timer timer_;
  bool scheduled_ = false;
  double refusals_ = kRefusalBurst;  ///< that may become events now
  std::int64_t refusals_at_ = 0;     ///< when they were counted, steady time
  std::int64_t refusals_left_out_ = 0;
  bool is_loaded_ = true;
  std::vector<std::function<void()>> waiting_;  ///< until it is
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<EventFile> file_;
};

}  // namespace vswitch::history
