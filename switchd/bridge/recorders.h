// SPDX-License-Identifier: Apache-2.0
// The flight recorders of all sessions, and the clients that they are written to.
//
// A recorder lives as long as its session asks for one of this size: whatever else changes, it keeps its frames. A dump
// is written by the event loop, some messages at a time, into a socket that came with the request; a client that does
// not read keeps nobody waiting.
#pragma once

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "schemas/ovsdb/uuid.h"
#include "switchd/base/limits.h"
#include "switchd/bridge/recorder.h"

namespace vswitch::bridge {

class RecordDump;

class Recorders {
 public:
  /// `io` must outlive it. `most`: bytes of all recorders together.
  explicit Recorders(boost::asio::io_context& io, std::size_t most = limits::kRecordersBytes);
  ~Recorders();
  Recorders(const Recorders&) = delete;
  Recorders& operator=(const Recorders&) = delete;

  using Wanted = std::map<ovsdb::Uuid, RecordSpec>;
  /// Makes the recorders that sessions (by row) want, and frees those that none wants; their dumps end. A session for
  /// whose recorder there is no room keeps the one it has.
  void reconcile(const Wanted& wanted) REQUIRES(roles::control);
  /// Null if the session has none.
  std::shared_ptr<Recorder> find(const ovsdb::Uuid& mirror) const;
  /// Why the session does not have the recorder that it wants, as a sentence; empty: it has.
  std::string trouble(const ovsdb::Uuid& mirror) const;

  /// Writes what the recorder of the session holds into the socket (schemas/capture_record.h), then closes it. `clear`:
  /// and forgets it when the client has answered with a byte. Returns why not, as a sentence; empty: it has begun, and
  /// `held` is what there is to write.
  std::string dump(const ovsdb::Uuid& mirror, UniqueFd socket, bool clear, Recording& held)
      REQUIRES(roles::control);

 private:
  struct Entry {
    std::size_t bytes = 0;
    std::shared_ptr<Recorder> recorder;
  };
  /// `others`: bytes of all other recorders.
  void make(const ovsdb::Uuid& mirror, const RecordSpec& spec, std::size_t others);

  boost::asio::io_context& io_;
  const std::size_t most_;
  std::map<ovsdb::Uuid, Entry> recorders_;
  std::map<ovsdb::Uuid, std::string> troubles_;
  std::set<std::shared_ptr<RecordDump>> dumps_;
};

}  // namespace vswitch::bridge
