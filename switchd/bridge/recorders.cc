// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/recorders.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <new>
#include <tuple>
#include <utility>

#include "datapath/base/socket_buffer.h"
#include "schemas/capture_record.h"
#include "switchd/bridge/captures.h"

namespace vswitch::bridge {

/// One client that gets what a recorder holds.
class RecordDump : public std::enable_shared_from_this<RecordDump> {
 public:
  RecordDump(boost::asio::io_context& io, UniqueFd socket, std::shared_ptr<Recorder> recorder, bool clears,
             std::function<void(const std::shared_ptr<RecordDump>&)> done)
      : io_(io),
        fd_(std::move(socket)),
        socket_(io, fd_.get()),
        patience_(io),
        recorder_(std::move(recorder)),
        clears_(clears),
        done_(std::move(done)),
        dump_(recorder_->begin_dump()) {}
  RecordDump(const RecordDump&) = delete;
  RecordDump& operator=(const RecordDump&) = delete;
  ~RecordDump() {
    recorder_->end_dump(dump_, is_acknowledged_);
    socket_.release();
  }

  const Recording& held() const { return dump_.held; }
  const Recorder& recorder() const { return *recorder_; }

  void write_some() REQUIRES(roles::control) {
    for (std::size_t i = 0; i < kMessagesPerTurn; ++i) {
      if (message_.empty()) recorder_->read(dump_, kCaptureMessageBytes, message_);
      if (message_.empty()) return clears_ ? wait_for_acknowledgement() : done_(shared_from_this());
      const ssize_t sent = ::send(fd_.get(), message_.data(), message_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return wait();
      if (sent < 0 && (errno == ENOBUFS || errno == ENOMEM)) return pause();
      if (sent < 0) return done_(shared_from_this());  // it has gone
      message_.clear();
    }
    boost::asio::post(io_, [weak = weak_from_this()] {
      roles::control.assert_held();
      if (const auto dump = weak.lock()) dump->write_some();
    });
  }

 private:
  static constexpr std::size_t kMessagesPerTurn = 16;
  static constexpr std::chrono::milliseconds kPause{10};

  /// Nothing comes any more. The client answers with a byte when the frames are where it wanted them, or goes.
  void wait_for_acknowledgement() {
    ::shutdown(fd_.get(), SHUT_WR);
    be_patient();
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [weak = weak_from_this()](const boost::system::error_code& error) {
                         const auto dump = weak.lock();
                         if (error || !dump) return;
                         char byte = 0;
                         dump->is_acknowledged_ =
                             ::recv(dump->fd_.get(), &byte, sizeof byte, MSG_DONTWAIT) == 1;
                         dump->done_(dump);
                       });
  }

  void be_patient() {
    patience_.expires_after(std::chrono::milliseconds(limits::kDumpPatienceMs));
    patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto dump = weak.lock();
      if (!error && dump) dump->done_(dump);
    });
  }

  /// Until the client has read something.
  void wait() {
    be_patient();
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                       [weak = weak_from_this()](const boost::system::error_code& error) {
                         roles::control.assert_held();
                         const auto dump = weak.lock();
                         if (error || !dump) return;
                         dump->patience_.cancel();
                         dump->write_some();
                       });
  }

  /// The machine has no memory for the message at present.
  void pause() {
    patience_.expires_after(kPause);
    patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      roles::control.assert_held();
      const auto dump = weak.lock();
      if (!error && dump) dump->write_some();
    });
  }

  boost::asio::io_context& io_;
  const UniqueFd fd_;
  boost::asio::posix::stream_descriptor socket_;  ///< the same, to wait for it
  boost::asio::steady_timer patience_;
  const std::shared_ptr<Recorder> recorder_;
  const bool clears_;
  const std::function<void(const std::shared_ptr<RecordDump>&)> done_;
  Recorder::Dump dump_;
  std::vector<std::byte> message_;  ///< that the socket has not taken yet
  bool is_acknowledged_ = false;
};

Recorders::Recorders(boost::asio::io_context& io, std::size_t most) : io_(io), most_(most) {}

Recorders::~Recorders() = default;

void Recorders::reconcile(const Wanted& wanted) {
  std::erase_if(recorders_, [&](const auto& item) { return !wanted.contains(item.first); });
  troubles_.clear();
  std::vector<std::pair<std::ptrdiff_t, Wanted::const_iterator>> changes;  // by how much a session grows
  std::size_t used = 0;
  for (const auto& [mirror, entry] : recorders_) used += entry.bytes;
  for (auto it = wanted.begin(); it != wanted.end(); ++it) {
    const auto found = recorders_.find(it->first);
    const std::size_t has = found == recorders_.end() ? 0 : found->second.bytes;
    if (has != it->second.bytes) {
      changes.emplace_back(static_cast<std::ptrdiff_t>(it->second.bytes) - static_cast<std::ptrdiff_t>(has),
                           it);
    } else {
      found->second.recorder->set_age(it->second.age);
    }
  }
  std::sort(changes.begin(), changes.end(), [](const auto& one, const auto& other) {
    return std::tie(one.first, one.second->first) < std::tie(other.first, other.second->first);
  });
  for (const auto& [growth, it] : changes) {
    const auto found = recorders_.find(it->first);
    const std::size_t has = found == recorders_.end() ? 0 : found->second.bytes;
    make(it->first, it->second, used - has);
    if (!troubles_.contains(it->first)) used += it->second.bytes - has;
  }
  // A client that does not read must not keep memory that nobody counts any more.
  std::erase_if(dumps_, [this](const std::shared_ptr<RecordDump>& dump) {
    return std::none_of(recorders_.begin(), recorders_.end(), [&dump](const auto& item) {
      return item.second.recorder.get() == &dump->recorder();
    });
  });
}

void Recorders::make(const ovsdb::Uuid& mirror, const RecordSpec& spec, std::size_t others) {
  if (others + spec.bytes > most_) {
    troubles_[mirror] = "the recorders of all sessions would have " + std::to_string(others + spec.bytes) +
                        " bytes; the limit is " + std::to_string(most_) +
                        ": record less, or end another session that records";
    return;
  }
  try {
    recorders_[mirror] = {spec.bytes, std::make_shared<Recorder>(spec)};
  } catch (const std::bad_alloc&) {
    if (recorders_[mirror].recorder == nullptr) recorders_.erase(mirror);
    troubles_[mirror] =
        "there is too little memory for a recorder of " + std::to_string(spec.bytes) + " bytes: record less";
  }
}

std::shared_ptr<Recorder> Recorders::find(const ovsdb::Uuid& mirror) const {
  const auto found = recorders_.find(mirror);
  return found == recorders_.end() ? nullptr : found->second.recorder;
}

std::string Recorders::trouble(const ovsdb::Uuid& mirror) const {
  const auto found = troubles_.find(mirror);
  return found == troubles_.end() ? std::string() : found->second;
}

std::string Recorders::dump(const ovsdb::Uuid& mirror, UniqueFd socket, bool clear, Recording& held) {
  const std::shared_ptr<Recorder> recorder = find(mirror);
  if (recorder == nullptr) return "there is no recorder at present: " + trouble(mirror);
  if (std::string wrong = socket_trouble("a dump", socket); !wrong.empty()) return wrong;
  if (dumps_.size() >= limits::kDumps)
    return "limit of " + std::to_string(limits::kDumps) +
           " dumps at the same time reached; try again when one has ended";
  set_send_buffer(socket.get(),
                  Captures::kBufferBytes);  // without the capability, as much as the host allows
  const auto dump =
      std::make_shared<RecordDump>(io_, std::move(socket), recorder, clear,
                                   [this](const std::shared_ptr<RecordDump>& ended) { dumps_.erase(ended); });
  held = dump->held();
  dumps_.insert(dump);
  boost::asio::post(io_, [weak = std::weak_ptr(dump)] {
    roles::control.assert_held();
    if (const auto begun = weak.lock()) begun->write_some();
  });
  return {};
}

}  // namespace vswitch::bridge
