// SPDX-License-Identifier: Apache-2.0
#include "switchd/history/history.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>

#include "switchd/base/wall_clock.h"
#include "switchd/history/sentence.h"

namespace vswitch::history {
namespace {

constexpr std::chrono::seconds kLook{1};

Place place_of(const Json& data) {
  return {data.value("bridge", ""), data.value("name", "")};
}

}  // namespace

Clocks real_clocks() {
  return {wall_now_ms, [] {
            const auto now = std::chrono::steady_clock::now().time_since_epoch();
            return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
          }};
}

void Losses::add(const Json& event) {
  lost += event["lost"].get<std::int64_t>();
  for (const auto& [cause, count] : event["lost_by"].items()) by[cause] += count.get<std::int64_t>();
}

Json Losses::to_json() const {
  return {{"lost", lost}, {"lost_by", by}};
}

History::History(boost::asio::io_context& io, ovsdb::Database& database, const std::string& file,
                 Clocks clocks)
    : database_(database),
      clocks_(std::move(clocks)),
      observer_(database),
      listener_(database.on_commit([this](const ovsdb::Changes& changes) { committed(changes); })),
      timer_(io),
      refusals_at_(clocks_.steady_ms()) {
  if (!file.empty()) load(io, file);
}

History::~History() {
  database_.remove_listener(listener_);
}

void History::load(boost::asio::io_context& io, const std::string& file) {
  is_loaded_ = false;
  file_ = std::make_unique<EventFile>(
      file, [this, &io, alive = std::weak_ptr(alive_)](std::vector<Kept> earlier) {
        boost::asio::post(io, [this, alive, earlier = std::move(earlier)]() mutable {
          if (alive.lock()) loaded(std::move(earlier));
        });
      });
  next_ = file_->last() + 1;
}

/// Events that have happened meanwhile may be among them already.
void History::loaded(std::vector<Kept> earlier) {
  const std::uint64_t first = events_.empty() ? next_ : events_.front().number;
  for (auto event = earlier.rbegin(); event != earlier.rend(); ++event) {
    if (event->number >= first) continue;
    bytes_ += event->text.size();
    events_.push_front(std::move(*event));
  }
  forget_oldest();
  is_loaded_ = true;
  for (const auto& done : std::exchange(waiting_, {})) done();
}

void History::when_loaded(std::function<void()> done) {
  if (is_loaded_) return done();
  waiting_.push_back(std::move(done));
}

void History::forget_oldest() {
  while (events_.size() > kMaxEvents || bytes_ > kMaxEventBytes) {
    bytes_ -= events_.front().text.size();
    events_.pop_front();
  }
}

void History::committed(const ovsdb::Changes& changes) {
  tell(observer_.observe(changes));
}

void History::tell(std::vector<Event> events) {
  write_to_log(events);
  for (const Event& event : events) {
    tell(event);
    if (event.topic == kMirrorLoss) count(event);
    if (event.topic != kMirrorState || event.data["state"] != "removed") continue;
    const auto session = sessions_.find(place_of(event.data));
    if (session == sessions_.end()) continue;
    tell_losses(session);
    sessions_.erase(session);
  }
}

void History::tell(const Event& event) {
  Json params = dated(event);
  if (event.kept) params["number"] = keep(event, params);
  for (const Listener& listener : listeners_) listener(event.topic, params);
}

Json History::dated(const Event& event) const {
  Json params = event.data;
  params["time"] = iso_time(clocks_.wall_ms());
  params["number"] = nullptr;
  return params;
}

std::uint64_t History::keep(const Event& event, Json line) {
  line["number"] = next_;
  line["topic"] = event.topic;
  const auto [bridge, name] = place_of(event.data);
  events_.push_back({next_++, clocks_.wall_ms(), event.topic, bridge, name,
                     line.dump(-1, ' ', false, Json::error_handler_t::replace)});
  bytes_ += events_.back().text.size();
  if (file_ != nullptr) file_->append(events_.back().text);
  forget_oldest();
  return last();
}

void History::refused(const std::string& who, const std::string& what, const std::string& reason) {
  const std::int64_t now = clocks_.steady_ms();
  const double minutes = static_cast<double>(now - refusals_at_) / 60'000;
  refusals_ = std::min<double>(kRefusalBurst, refusals_ + minutes * kRefusalsPerMinute);
  refusals_at_ = now;
  if (refusals_ < 1) {
    ++refusals_left_out_;
    return;
  }
  refusals_ -= 1;
  constexpr std::size_t kMaxReason = 500;
  Json data = {{"method", what}, {"by", who}, {"reason", shortened(reason, kMaxReason)}};
  if (const auto left_out = std::exchange(refusals_left_out_, 0)) data["left_out"] = left_out;
  tell(std::vector<Event>{{std::string(kSystemRefused), std::move(data)}});
}

void History::daemon(const std::string& state, const std::string& reason) {
  Event event{std::string(kSystemState), {{"state", state}, {"reason", reason}}};
  event.logged = false;  // the daemon says it itself
  tell(std::vector<Event>{std::move(event)});
}

// Losses.

void History::count(const Event& loss) {
  const std::int64_t now = clocks_.steady_ms();
  const auto at = sessions_.try_emplace(place_of(loss.data)).first;
  Session& session = at->second;
  session.recent.emplace_back(now, Losses());
  session.recent.back().second.add(loss.data);
  if (session.untold.lost == 0) session.since = now;
  session.untold.add(loss.data);
  if (!session.was_told || now - session.told_at >= kLossPeriodMs) tell_losses(at);
  schedule_look();
}

void History::tell_losses(Sessions::iterator at) {
  Session& session = at->second;
  if (session.untold.lost == 0) return;
  const std::int64_t now = clocks_.steady_ms();
  Event event{std::string(kMirrorLoss), session.untold.to_json()};
  event.data.update({{"bridge", at->first.first}, {"name", at->first.second}});
  // Of the first losses nobody knows how long they took.
  const std::int64_t seconds =
      session.was_told ? std::max<std::int64_t>(1, (now - session.told_at) / 1000) : 0;
  if (seconds != 0) event.data["seconds"] = seconds;
  session.untold = {};
  session.told_at = now;
  session.was_told = true;
  write_to_log({event});
  keep(event, dated(event));  // listeners know already
}

void History::look_at_losses() {
  const std::int64_t now = clocks_.steady_ms();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = at->second;
    while (!session.recent.empty() && now - session.recent.front().first >= kLossPeriodMs)
      session.recent.pop_front();
    if (now - session.told_at >= kLossPeriodMs) tell_losses(at);
    const bool is_over = session.recent.empty() && now - session.told_at >= kLossPeriodMs;
    at = is_over ? sessions_.erase(at) : std::next(at);
  }
}

void History::schedule_look() {
  if (std::exchange(scheduled_, true)) return;
  timer_.expires_after(kLook);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    scheduled_ = false;
    look_at_losses();
    if (!sessions_.empty()) schedule_look();
  });
}

std::map<Place, Losses> History::recent_losses() {
  const std::int64_t now = clocks_.steady_ms();
  std::map<Place, Losses> losses;
  for (const auto& [place, session] : sessions_) {
    for (const auto& [time, lost] : session.recent) {
      if (now - time >= kLossPeriodMs) continue;
      Losses& sum = losses[place];
      sum.lost += lost.lost;
      for (const auto& [cause, count] : lost.by) sum.by[cause] += count;
    }
  }
  return losses;
}

}  // namespace vswitch::history
