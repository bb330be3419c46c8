// SPDX-License-Identifier: Apache-2.0
// The remotes that the database asks for: one per Manager row (ovs-vswitchd.conf.db(5), "Manager TABLE").
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace vswitch::ovsdb {
class Database;
class Row;
}  // namespace vswitch::ovsdb

namespace vswitch::control {

class Server;

/// Opens a remote when its row appears, closes it with its clients when the row goes, retries once a second
/// what could not be opened, and writes is_connected and status. Remotes of the command line are not touched.
class Managers {
 public:
  Managers(boost::asio::io_context& io, ovsdb::Database& database, Server& server);
  Managers(const Managers&) = delete;
  Managers& operator=(const Managers&) = delete;
  ~Managers();

 private:
  void reconcile();
  void open(const std::string& target);
  void write_status();
  std::map<std::string, std::string> status_of(const std::string& target, bool& connected) const;
  void tick();

  ovsdb::Database& database_;
  Server& server_;
  boost::asio::steady_timer timer_;
  std::uint64_t listener_;
  std::map<std::string, std::string> errors_;  // by target of each row: why it is not open, empty if it is
  std::shared_ptr<void> life_ = std::make_shared<char>();
};

}  // namespace vswitch::control
