// c10d's store and its Gloo process group as C functions; src/distributed/c10d/libtorch.rs declares
// them.
//
// Every function that returns a bool returns false when it failed, with the reason in `message`. A
// store may be used by one thread at a time, a group too.

#include <ATen/ops/from_blob.h>

#include <c10/util/Logging.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "failure.h"

namespace {

using ec2train::guarded;
using std::chrono::milliseconds;
using Store = c10::intrusive_ptr<c10d::Store>;
using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;
// Takes bytes over into `context`.
using Sink = void (*)(void* context, const uint8_t* bytes, size_t len);

// A view of the caller's memory, which the collective reads or writes until it has ended.
at::Tensor view(const uint8_t* bytes, size_t len) {
  return at::from_blob(const_cast<uint8_t*>(bytes), {static_cast<int64_t>(len)}, at::kByte);
}

// One view for each rank's `len` bytes.
std::vector<at::Tensor> views(uint8_t* bytes, size_t len, int num_ranks) {
  std::vector<at::Tensor> views;
  for (int rank = 0; rank < num_ranks; ++rank) {
    views.push_back(view(bytes + rank * len, len));
  }
  return views;
}

}  // namespace

extern "C" {

// A connection to the store at `host`, which this process keeps itself where `is_server`. A server
// waits until `num_workers` have connected where that is not 0; a client tells it that it has. `store`
// is the caller's.
bool ec2train_c10d_connect(const char* host, uint16_t port, bool is_server, size_t num_workers,
                           int64_t timeout_ms, Store** store, char* message,
                           size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    // What c10d logs comes with pages of stack traces, and is in its errors too.
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = is_server;
    if (num_workers > 0) {
      options.numWorkers = num_workers;
    }
    options.waitWorkers = num_workers > 0;
    options.timeout = milliseconds(timeout_ms);
    *store = new Store(c10::make_intrusive<c10d::TCPStore>(host, options));
  });
}

bool ec2train_c10d_set(const Store* store, const char* key, const uint8_t* bytes, size_t len,
                       char* message, size_t capacity) noexcept {
  return guarded(message, capacity,
                 [&] { (*store)->set(key, std::vector<uint8_t>(bytes, bytes + len)); });
}

// Sets `key` unless it is there; `sink` takes what is there afterwards.
bool ec2train_c10d_set_if_absent(const Store* store, const char* key, const uint8_t* bytes,
                                 size_t len, Sink sink, void* context, char* message,
                                 size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    const auto there = (*store)->compareSet(key, {}, std::vector<uint8_t>(bytes, bytes + len));
    sink(context, there.data(), there.size());
  });
}

bool ec2train_c10d_is_set(const Store* store, const char* key, bool* is_set, char* message,
                          size_t capacity) noexcept {
  return guarded(message, capacity, [&] { *is_set = (*store)->check({key}); });
}

// What is at each of `num_keys` keys, which must be there; `sink` takes them in turn.
bool ec2train_c10d_get(const Store* store, const char* const* keys, size_t num_keys, Sink sink,
                       void* context, char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    const std::vector<std::string> names(keys, keys + num_keys);
    for (const auto& value : (*store)->multiGet(names)) {
      sink(context, value.data(), value.size());
    }
  });
}

// Connects every rank with every other, through `store` below `prefix`. Listens at `address`, or, where
// that is null, as GLOO_SOCKET_IFNAME says. `group` is the caller's.
bool ec2train_c10d_group(const Store* store, const char* prefix, int rank, int num_ranks,
                         const char* address, int64_t timeout_ms, Group** group, char* message,
                         size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    using Gloo = c10d::ProcessGroupGloo;
    auto options = address ? Gloo::Options::create(milliseconds(timeout_ms))
                           : Gloo::Options::create_default(milliseconds(timeout_ms));
    if (address) {
      options->devices.push_back(Gloo::createDeviceForHostname(address));
    }
    const auto prefixed = c10::make_intrusive<c10d::PrefixStore>(prefix, *store);
    *group = new Group(c10::make_intrusive<Gloo>(prefixed, rank, num_ranks, options));
  });
}

// `out` is [num_ranks][len].
bool ec2train_c10d_all_gather(const Group* group, const uint8_t* bytes, size_t len, uint8_t* out,
                              char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    std::vector<std::vector<at::Tensor>> outputs{views(out, len, (*group)->getSize())};
    std::vector<at::Tensor> inputs{view(bytes, len)};
    (*group)->allgather(outputs, inputs)->wait();
  });
}

// `out` is [num_ranks][len] at `root`, and not used elsewhere.
bool ec2train_c10d_gather(const Group* group, const uint8_t* bytes, size_t len, int root,
                          uint8_t* out, char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    std::vector<std::vector<at::Tensor>> outputs;
    if ((*group)->getRank() == root) {
      outputs.push_back(views(out, len, (*group)->getSize()));
    }
    std::vector<at::Tensor> inputs{view(bytes, len)};
    c10d::GatherOptions options;
    options.rootRank = root;
    (*group)->gather(outputs, inputs, options)->wait();
  });
}

// `bytes` of `root` take the place of all others'.
bool ec2train_c10d_broadcast(const Group* group, uint8_t* bytes, size_t len, int root,
                             char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    std::vector<at::Tensor> tensors{view(bytes, len)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    (*group)->broadcast(tensors, options)->wait();
  });
}

}  // extern "C"
