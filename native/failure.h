// Keeps C++ exceptions inside the functions that Rust calls.
#pragma once

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdio>
#include <exception>

namespace ec2train {

// Not in a `catch` of its own: the tables of those would tie every program to libtorch, also one that has
// none of these functions.
inline const char* words(const std::exception& error) {
  const auto* libtorchs = dynamic_cast<const c10::Error*>(&error);
  return libtorchs ? libtorchs->what_without_backtrace() : error.what();
}

// Runs `body`. False when it threw: what it said is then in `message`, cut to `capacity` bytes
// with the closing zero.
template <typename Body>
bool guarded(char* message, size_t capacity, Body&& body) noexcept {
  const auto failed = [&](const char* what) {
    std::snprintf(message, capacity, "%s", what);
    return false;
  };
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    return failed(words(error));
  } catch (...) {
    return failed("a C++ exception that says nothing");
  }
}

}  // namespace ec2train
