// SPDX-License-Identifier: Apache-2.0
// rtnetlink requests with readable refusals.
#include "switchd/netlink/netlink_socket.h"

#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

namespace vswitch::netlink {
namespace {

struct Exchange {
  std::uint32_t sequence = 0;
  const NetlinkSocket::Handler* handler = nullptr;
  std::optional<NetlinkRefusal> refusal;
  bool done = false;
};

/// Skips the rest of an earlier exchange that failed half way.
int on_sequence(nl_msg* message, void* argument) {
  return nlmsg_hdr(message)->nlmsg_seq == static_cast<Exchange*>(argument)->sequence ? NL_OK : NL_SKIP;
}

int on_message(nl_msg* message, void* argument) {
  const Exchange& exchange = *static_cast<Exchange*>(argument);
  if (exchange.handler != nullptr) (*exchange.handler)(*nlmsg_hdr(message));
  return NL_OK;
}

int on_done(nl_msg*, void* argument) {
  static_cast<Exchange*>(argument)->done = true;
  return NL_STOP;
}

/// The kernel's text from the attributes after struct nlmsgerr (NLM_F_ACK_TLVS).
std::string extended_text(const nlmsgerr& error) {
  // libnl passes the payload; the header is right before it.
  const auto* header =
      reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(&error) - NLMSG_HDRLEN);
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  std::size_t skip = sizeof error;
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) skip += error.msg.nlmsg_len - NLMSG_HDRLEN;
  skip = NLMSG_ALIGN(skip);
  const std::size_t payload = header->nlmsg_len - NLMSG_HDRLEN;
  if (skip >= payload) return "";
  auto* first = reinterpret_cast<nlattr*>(const_cast<char*>(reinterpret_cast<const char*>(&error)) + skip);
  const nlattr* text = nla_find(first, static_cast<int>(payload - skip), NLMSGERR_ATTR_MSG);
  return text == nullptr ? "" : nla_get_string(const_cast<nlattr*>(text));
}

int on_error(sockaddr_nl*, nlmsgerr* error, void* argument) {
  Exchange& exchange = *static_cast<Exchange*>(argument);
  NetlinkRefusal refusal{-error->error, extended_text(*error)};
  if (refusal.text.empty()) refusal.text = std::strerror(refusal.error);
  exchange.refusal = std::move(refusal);
  exchange.done = true;
  return NL_STOP;
}

std::optional<NetlinkRefusal> exchange_messages(nl_sock* socket, const NetlinkMessage& message,
                                                const NetlinkSocket::Handler* handler) {
  Exchange exchange;
  exchange.handler = handler;
  std::unique_ptr<nl_cb, void (*)(nl_cb*)> callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
  if (!callbacks) throw std::bad_alloc();
  nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_sequence, &exchange);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_message, &exchange);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_done, &exchange);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_done, &exchange);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &exchange);
  nlmsg_hdr(message.get())->nlmsg_seq = NL_AUTO_SEQ;  // a message may be sent again
  int result = nl_send_auto(socket, message.get());
  exchange.sequence = nlmsg_hdr(message.get())->nlmsg_seq;
  while (result >= 0 && !exchange.done) result = nl_recvmsgs(socket, callbacks.get());
  if (result < 0 && !exchange.refusal) {
    return NetlinkRefusal{result == -NLE_DUMP_INTR ? EAGAIN : EIO, nl_geterror(result)};
  }
  return exchange.refusal;
}

}  // namespace

NetlinkMessage::NetlinkMessage(int type, int flags, const void* header, std::size_t length)
    : message_(nlmsg_alloc_simple(type, flags)) {
  if (!message_ || nlmsg_append(message_.get(), const_cast<void*>(header), length, NLMSG_ALIGNTO) < 0) {
    throw std::bad_alloc();
  }
}

void NetlinkMessage::Free::operator()(nl_msg* message) const {
  nlmsg_free(message);
}

void NetlinkSocket::Free::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

NetlinkSocket::NetlinkSocket(int protocol) : socket_(nl_socket_alloc()) {
  if (!socket_) throw std::bad_alloc();
  if (nl_connect(socket_.get(), protocol) < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot open a netlink socket");
  }
  nl_socket_set_msg_buf_size(socket_.get(), 64 * 1024);  // the longest message of a dump is 32 KiB
  const int on = 1;
  ::setsockopt(nl_socket_get_fd(socket_.get()), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
}

std::optional<NetlinkRefusal> NetlinkSocket::request(const NetlinkMessage& message) {
  return exchange_messages(socket_.get(), message, nullptr);
}

std::optional<NetlinkRefusal> NetlinkSocket::get(const NetlinkMessage& message, const Handler& handler) {
  return exchange_messages(socket_.get(), message, &handler);
}

std::optional<NetlinkRefusal> NetlinkSocket::dump(const NetlinkMessage& message, const Handler& handler) {
  nlmsg_hdr(message.get())->nlmsg_flags |= NLM_F_DUMP;
  return exchange_messages(socket_.get(), message, &handler);
}

}  // namespace vswitch::netlink
