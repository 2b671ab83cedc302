// Keeps C++ exceptions inside the functions that Rust calls.
#pragma once

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdio>
#include <exception>

namespace ec2train {

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
  } catch (const c10::Error& error) {
    return failed(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return failed(error.what());
  } catch (...) {
    return failed("a C++ exception that says nothing");
  }
}

}  // namespace ec2train
